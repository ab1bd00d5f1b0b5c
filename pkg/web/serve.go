package web

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"

	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/access"
)

// Serve answers on the listener until the context ends, then lets what is in flight finish, for ten seconds at most.
// The error is nil after a stop that was asked for. Where the web configuration has a certificate at the start, the
// listener speaks TLS; current gives the one in force, and may be nil for plain HTTP.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, current func() *access.Access, log *zap.Logger) error {
	serverLog, err := zap.NewStdLogAt(log.Named("http"), zap.DebugLevel)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          serverLog,
	}
	serve := func() error { return server.Serve(listener) }
	if current != nil && current().TLS() {
		h := &handshakes{current: current, log: log}
		if err := h.prepare(server); err != nil {
			return err
		}
		serve = func() error { return server.ServeTLS(listener, "", "") }
	}
	served := make(chan error, 1)
	go func() { served <- serve() }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := server.Shutdown(stopping); err != nil {
		log.Warn("requests cut off at the stop", zap.Duration("after", stopTimeout), zap.Error(err))
		_ = server.Close() // what is left is cut off; there is nobody to tell
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// handshakes gives each connection the certificate of the files as they are at that moment. While they cannot be read,
// such as in the middle of a renewal, the last good one stays in use: what people acknowledge through must not close
// because a file was half written.
type handshakes struct {
	current func() *access.Access
	log     *zap.Logger

	mutex   sync.Mutex
	good    *tls.Config
	trouble string // of the last try, told once
}

// prepare makes a server speak TLS. The error is that the certificate cannot be used.
func (h *handshakes) prepare(server *http.Server) error {
	good, err := h.current().Certificate()
	if err != nil {
		return err
	}
	h.good = good
	server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: h.config}
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(h.current().HTTP2())
	return nil
}

// config implements tls.Config.GetConfigForClient.
func (h *handshakes) config(*tls.ClientHelloInfo) (*tls.Config, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	trouble := ""
	if a := h.current(); !a.TLS() {
		trouble = "the web configuration has no certificate any more"
	} else if fresh, err := a.Certificate(); err != nil {
		trouble = err.Error()
	} else {
		h.good = fresh
	}
	if trouble != "" && trouble != h.trouble {
		h.log.Error("the certificate cannot be read; the last good one stays in use", zap.String("error", trouble))
	}
	h.trouble = trouble
	return h.good, nil
}
