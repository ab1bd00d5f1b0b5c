package configs_test

import (
	"testing"

	"github.com/irdaemon/irdaemon/pkg/config"
)

func TestX(t *testing.T) {
	c, r := config.Load("irdaemon.yaml")
	for _, p := range r.Problems {
		t.Log(p.Level, p)
	}
	t.Log(len(c.Runbooks), len(c.Signals))
}
