package web

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
)

// FilesRefused is a reload's error about broken files: the old ones stay in force. Its text has a line for each thing
// that is wrong.
type FilesRefused struct{ Problems error }

// Error implements error.
func (e *FilesRefused) Error() string { return e.Problems.Error() }

// Unwrap gives the problems.
func (e *FilesRefused) Unwrap() error { return e.Problems }

// addDaemonRoutes adds what an operator and a Prometheus ask of every daemon. These answer in plain text.
func addDaemonRoutes(mux *router, config Config) {
	mux.Handle("GET /metrics", promhttp.HandlerFor(config.Registry, promhttp.HandlerOpts{
		ErrorLog: scrapeLog{config.Log},
	}))
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) {
		writeLines(w, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET /-/ready", func(w http.ResponseWriter, _ *http.Request) {
		if config.Ready != nil {
			if reasons := config.Ready(); len(reasons) > 0 {
				writeLines(w, http.StatusServiceUnavailable, reasons...)
				return
			}
		}
		writeLines(w, http.StatusOK, "ready")
	})
	if config.Reload != nil {
		mux.HandleFunc("POST /-/reload", func(w http.ResponseWriter, r *http.Request) { reload(w, r, config) })
	}
}

// reload reads the files again. A broken file is refused whole, and the old ones stay in force.
func reload(w http.ResponseWriter, r *http.Request, config Config) {
	atNextStart, err := config.Reload(r.Context())
	var refused *FilesRefused
	switch {
	case err == nil:
		said := "reloaded"
		if len(atNextStart) > 0 {
			said += fmt.Sprintf("; only the next start puts in force what changed in: %s", strings.Join(atNextStart, ", "))
		}
		writeLines(w, http.StatusOK, said)
	case errors.As(err, &refused):
		writeLines(w, http.StatusUnprocessableEntity, err.Error())
	default:
		writeLines(w, http.StatusInternalServerError, err.Error())
	}
}

func writeLines(w http.ResponseWriter, status int, lines ...string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	// It is plain text, and secure keeps every browser from taking it for anything else. An error: the client is gone.
	_, _ = io.WriteString(w, strings.Join(lines, "\n")+"\n") //nolint:gosec // no markup
}

// scrapeLog tells of metrics that could not be gathered.
type scrapeLog struct{ log *zap.Logger }

// Println implements promhttp.Logger.
func (l scrapeLog) Println(v ...any) { l.log.Sugar().Error(append([]any{"metrics: "}, v...)...) }
