package web

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// openAPIPath is where the description of the API is. No page of documentation is served: those that there are load
// their scripts from somewhere else.
const openAPIPath = "/api/v1/openapi.json"

// addAPI adds the operations and their description.
func addAPI(mux *router, config Config) {
	settings := huma.Config{
		OpenAPI: &huma.OpenAPI{Info: &huma.Info{
			Title:       "irdaemon",
			Version:     config.Version,
			Description: "Incidents, from the breach to the verified recovery. Times are RFC 3339 in UTC, shares 0 to 1. Every error is an RFC 9457 problem document.",
		}, Components: &huma.Components{SecuritySchemes: securitySchemes}, OnAddOperation: []huma.AddOpFunc{mux.declare}},
		Formats:                      huma.DefaultFormats,
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
	}
	// Answers may grow; a client that is strict about today's keys would break. Requests say for themselves that
	// they allow no other keys.
	settings.AllowAdditionalPropertiesByDefault = true
	api := humago.New(mux, settings)
	api.UseMiddleware(requireJSON)

	(&incidents{desk: config.Desk, log: config.Log, now: config.Now}).register(api)
	registerOthers(api, config)
	describe(mux, api)
}

// operation describes one operation; problems are the statuses of its errors. needs or bySignature says who may call it.
func operation(id, method, path, summary string, problems ...int) huma.Operation {
	op := huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary,
		MaxBodyBytes: maxBodyBytes, Responses: map[string]*huma.Response{},
	}
	addProblems(&op, problems...)
	return op
}

// addProblems describes errors that an operation can be answered with.
func addProblems(op *huma.Operation, problems ...int) {
	for _, status := range problems {
		op.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: http.StatusText(status),
			Content: map[string]*huma.MediaType{
				"application/problem+json": {Schema: &huma.Schema{Ref: "#/components/schemas/Problem"}},
			},
		}
	}
}

// requireJSON refuses a body that says it is something else: a form of another site can send such a one without
// asking, and nothing here reads it.
func requireJSON(ctx huma.Context, next func(huma.Context)) {
	if ctx.Method() != http.MethodPost || takesAnything(ctx.Operation()) {
		next(ctx)
		return
	}
	if saysJSON(ctx.Header("Content-Type")) {
		next(ctx)
		return
	}
	_, w := humago.Unwrap(ctx)
	refuseType(w, ctx.Header("Content-Type"))
}

func saysJSON(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && kind == "application/json"
}

// refuseType answers a body that does not say that it is JSON.
func refuseType(w http.ResponseWriter, sent string) {
	w.Header().Set("Accept-Post", "application/json")
	detail := "the request has no Content-Type"
	if sent != "" {
		detail = fmt.Sprintf("Content-Type %s is not understood here", quoteShort(sent))
	}
	writeProblem(w, newProblem(http.StatusUnsupportedMediaType, detail, "Content-Type: application/json"))
}

// describe serves the OpenAPI document. It is written once: huma's own route writes it at the first request, without
// a lock.
func describe(mux *router, api huma.API) {
	document := api.OpenAPI()
	document.Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")
	text, err := json.Marshal(document)
	if err != nil {
		panic(fmt.Sprintf("the OpenAPI document: %v", err)) // it is made of this package's types alone
	}
	mux.HandleFunc("GET "+openAPIPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(text)
	})
}
