package main

import (
	"context"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/config"
)

// TestTheEmbeddedSourceEndsWhenTheDaemonDoes: a daemon that fails must exit with its error, and not wait for scrapes.
func TestTheEmbeddedSourceEndsWhenTheDaemonDoes(t *testing.T) {
	settings := &config.Settings{Embedded: &config.Embedded{ScrapeInterval: time.Second, Path: t.TempDir(), Retention: time.Hour}}
	_, closeSource, err := openSource(context.Background(), settings, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() { closed <- closeSource() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the source is still scraping")
	}
}
