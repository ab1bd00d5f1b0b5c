package web

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/irdaemon/irdaemon/pkg/access"
)

func TestARouteThatDeclaresNothingIsRefused(t *testing.T) {
	op := operation("x", http.MethodPost, "/api/v1/x", "X")
	add := func(op huma.Operation) func(*router) {
		return func(m *router) {
			settings := huma.Config{OpenAPI: &huma.OpenAPI{Info: &huma.Info{}, OnAddOperation: []huma.AddOpFunc{m.declare}}, Formats: huma.DefaultFormats}
			huma.Register(humago.New(m, settings), op, func(context.Context, *struct{}) (*struct{}, error) { return nil, nil })
		}
	}
	hidden := needs(access.Read, op)
	hidden.Hidden = true
	for name, test := range map[string]struct {
		add     func(*router)
		refused string
	}{
		"an operation with a scope":              {add(needs(access.Read, op)), ""},
		"an operation by signature":              {add(bySignature(op)), ""},
		"an operation without a scope":           {add(op), "route POST /api/v1/x declares no scope"},
		"an operation with an unknown scope":     {add(needs("write", op)), "route POST /api/v1/x declares no scope"},
		"an operation that the document hides":   {add(hidden), "route POST /api/v1/x declares no scope"},
		"a plain route of the table":             {func(m *router) { m.Handle("GET /metrics", http.NotFoundHandler()) }, ""},
		"a plain route that is not in the table": {func(m *router) { m.Handle("GET /secrets", http.NotFoundHandler()) }, "route GET /secrets declares no scope"},
		"a plain route for every method":         {func(m *router) { m.Handle("/metrics", http.NotFoundHandler()) }, "route /metrics declares no scope"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newRouter()
			test.add(m)
			defer func() {
				said, _ := recover().(string)
				if (said == "") != (test.refused == "") || !strings.HasPrefix(said, test.refused) {
					t.Errorf("says %q, want %q", said, test.refused)
				}
			}()
			m.closed()
		})
	}
}
