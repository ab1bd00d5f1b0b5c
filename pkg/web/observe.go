package web

import (
	"errors"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// observe counts and logs every request, and answers for a handler that panics: one bad request must not take the
// watch over everything else with it.
func observe(mux *http.ServeMux, next http.Handler, config Config) http.Handler {
	log, now := config.Log, config.Now
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "irdaemon_http_requests_total",
		Help: "HTTP requests answered, by method, pattern of the route and status.",
	}, []string{"method", "route", "code"})
	config.Registry.MustRegister(requests)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := now()
		answer := &watched{ResponseWriter: w}
		route := routeOf(mux, r)
		defer func() {
			cut := answer.afterPanic(recover(), route, log)
			requests.WithLabelValues(knownMethod(r.Method), route, strconv.Itoa(answer.code())).Inc()
			log.Debug("request", zap.String("method", r.Method), zap.String("route", route), zap.String("path", shownPath(route, r)),
				zap.Int("status", answer.code()), zap.Int64("bytes", answer.bytes), zap.String("from", r.RemoteAddr),
				zap.Duration("took", now().Sub(began)))
			if cut {
				panic(http.ErrAbortHandler)
			}
		}()
		next.ServeHTTP(answer, r)
	})
}

// routeOf gives the pattern of a path without its method; "none" for a path that there is not. There are as many as
// there are routes, whatever is asked for.
func routeOf(mux *http.ServeMux, r *http.Request) string {
	_, pattern := mux.Handler(r)
	if _, path, ok := strings.Cut(pattern, " "); ok {
		return path
	}
	return "none"
}

// knownMethod keeps made-up methods from becoming series.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// watched remembers what was answered.
type watched struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader implements http.ResponseWriter.
func (w *watched) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *watched) Write(text []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(text)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach what is below.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// code is the status answered; a handler that writes nothing answers 200.
func (w *watched) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}

// afterPanic logs the cause of a panic, if there was one, and answers for the handler, if nothing was answered before;
// else the connection has to be cut, so that the client sees that the answer is not whole.
func (w *watched) afterPanic(cause any, route string, log *zap.Logger) (cut bool) {
	if cause == nil {
		return false
	}
	if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return true
	}
	log.Error("panic while answering", zap.String("route", route), zap.Any("error", cause), zap.ByteString("stack", debug.Stack()))
	if w.status != 0 {
		return true
	}
	writeProblem(w, newProblem(http.StatusInternalServerError, "the daemon could not answer; its log says why"))
	return false
}
