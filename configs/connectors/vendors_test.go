package connectors_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/irdaemon/irdaemon/pkg/action"
)

// langfuse keeps the labels of a prompt's versions.
type langfuse struct {
	sync.Mutex
	labels map[string][]string
}

func (l *langfuse) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.Lock()
	defer l.Unlock()
	if user, password, ok := r.BasicAuth(); !ok || user != "pk-lf-change-me" || password != "sk-lf-1" {
		answer(w, 401, map[string]any{"message": "Invalid credentials. Confirm that you've configured the correct host."})
		return
	}
	const prompt = "/api/public/v2/prompts/support-bot"
	version, isVersion := strings.CutPrefix(r.URL.Path, prompt+"/versions/")
	switch {
	case r.Method == "GET" && r.URL.Path == prompt:
		for version, labels := range l.labels {
			if slices.Contains(labels, r.URL.Query().Get("label")) {
				l.prompt(w, version)
				return
			}
		}
		answer(w, 404, map[string]any{"message": "Prompt not found", "error": "LangfuseNotFoundError"})
	case r.Method == "PATCH" && isVersion && l.labels[version] != nil:
		var body struct{ NewLabels []string }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.NewLabels == nil {
			answer(w, 400, map[string]any{"message": "Invalid request data"})
			return
		}
		for _, label := range body.NewLabels { // on one version at a time, beside what that one has
			for v := range l.labels {
				l.labels[v] = slices.DeleteFunc(l.labels[v], func(other string) bool { return other == label })
			}
			l.labels[version] = append(l.labels[version], label)
		}
		l.prompt(w, version)
	default:
		answer(w, 404, map[string]any{"message": "Prompt not found"})
	}
}

func (l *langfuse) prompt(w http.ResponseWriter, version string) {
	answer(w, 200, map[string]any{"name": "support-bot", "version": json.Number(version), "labels": l.labels[version], "type": "text", "prompt": "You are …"})
}

func TestLangfuseMovesALabel(t *testing.T) {
	vendor := &langfuse{labels: map[string][]string{"6": {"reviewed"}, "7": {"production", "latest"}}}
	b := begin(t, "langfuse", "sk-lf-1", vendor)
	b.rollBack(t, "6", `{"version":7}`, `{"version":6}`)
	if got := strings.Join(vendor.labels["6"], " ") + "|" + strings.Join(vendor.labels["7"], " "); got != "reviewed production|latest" {
		t.Error(got)
	}
	b.refused(t, b.request(t, "5"), "404 Not Found: Prompt not found")
	b = begin(t, "langfuse", "sk-lf-2", vendor)
	b.refused(t, b.request(t, "6"), "401 Unauthorized: Invalid credentials.")
}

// qdrant keeps aliases, and saves each action as it runs.
type qdrant struct {
	collections []string
	aliases     map[string]string
}

func (q *qdrant) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("api-key") != "key" {
		http.Error(w, "Must provide an API key or an Authorization bearer token", http.StatusUnauthorized)
		return
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /aliases":
		list := []any{}
		for name, collection := range q.aliases {
			list = append(list, map[string]any{"alias_name": name, "collection_name": collection})
		}
		answer(w, 200, map[string]any{"result": map[string]any{"aliases": list}, "status": "ok", "time": 0.00001})
	case "POST /collections/aliases":
		var body struct {
			Actions []map[string]struct {
				Alias      string `json:"alias_name"`
				Collection string `json:"collection_name"`
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			answer(w, 400, map[string]any{"status": map[string]any{"error": "Format error in JSON body"}})
			return
		}
		for _, each := range body.Actions {
			if gone, ok := each["delete_alias"]; ok {
				delete(q.aliases, gone.Alias)
			}
			if made, ok := each["create_alias"]; ok {
				if !slices.Contains(q.collections, made.Collection) {
					answer(w, 404, map[string]any{"status": map[string]any{"error": "Not found: Collection `" + made.Collection + "` doesn't exist!"}})
					return
				}
				q.aliases[made.Alias] = made.Collection
			}
		}
		answer(w, 200, map[string]any{"result": true, "status": "ok"})
	default:
		w.WriteHeader(404)
	}
}

func TestQdrantPointsAnAliasAnew(t *testing.T) {
	vendor := &qdrant{collections: []string{"kb-1", "kb-2"}, aliases: map[string]string{"kb-live": "kb-2", "kb-test": "kb-1"}}
	b := begin(t, "qdrant", "key", vendor)
	seen := func(c string) string {
		return `{"result":{"aliases":[{"alias_name":"kb-live","collection_name":"` + c + `"}]}}`
	}
	b.rollBack(t, "kb-1", seen("kb-2"), seen("kb-1"))
	// The collection is gone: nothing is lost, as it would be by delete_alias and create_alias.
	b.refused(t, b.request(t, "kb-0"), "404 Not Found: Not found: Collection `kb-0` doesn't exist!")
	if vendor.aliases["kb-live"] != "kb-1" {
		t.Error("the alias is lost")
	}
	b.call.Action.Body = map[string]any{"actions": []any{
		map[string]any{"delete_alias": map[string]any{"alias_name": "kb-live"}},
		map[string]any{"create_alias": map[string]any{"alias_name": "kb-live", "collection_name": "{{ .Previous }}"}},
	}}
	pair := b.request(t, "kb-0")
	b.refused(t, pair, "404")
	if _, still := vendor.aliases["kb-live"]; still {
		t.Error("the server doesn't have the trap that the recipe warns of")
	}
	if confirmed, seen, err := b.runner.Confirm(t.Context(), pair); confirmed || seen != `{"result":{"aliases":[]}}` || err != nil {
		t.Error("a lost alias is not seen", confirmed, seen, err)
	}
}

// litellm keeps the fallbacks of models.
type litellm struct {
	models    []string
	fallbacks map[string][]string
	noDB      bool
}

func (l *litellm) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, why string) {
		answer(w, status, map[string]any{"detail": map[string]any{"error": why}})
	}
	model, isOne := strings.CutPrefix(r.URL.Path, "/fallback/")
	switch {
	case r.Header.Get("Authorization") != "Bearer sk-1234":
		answer(w, 401, map[string]any{"error": map[string]any{"message": "Authentication Error, Invalid proxy server token passed", "code": "401"}})
	case r.Method == "GET" && isOne && l.fallbacks[model] != nil:
		answer(w, 200, map[string]any{"model": model, "fallback_models": l.fallbacks[model], "fallback_type": "general"})
	case r.Method == "GET" && isOne:
		refuse(404, "No general fallbacks configured for model '"+model+"'")
	case r.Method == "POST" && r.URL.Path == "/fallback":
		var body struct {
			Model          string   `json:"model"`
			FallbackModels []string `json:"fallback_models"`
			FallbackType   string   `json:"fallback_type"`
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		for _, m := range append([]string{body.Model}, body.FallbackModels...) {
			if !slices.Contains(l.models, m) {
				refuse(404, "Model '"+m+"' not found in router")
				return
			}
		}
		if l.noDB {
			refuse(400, "Database not connected: set STORE_MODEL_IN_DB=True")
			return
		}
		l.fallbacks[body.Model] = body.FallbackModels
		answer(w, 200, map[string]any{"model": body.Model, "fallback_models": body.FallbackModels, "fallback_type": body.FallbackType, "message": "Fallback configuration created successfully"})
	default:
		w.WriteHeader(404)
	}
}

func TestLiteLLMSetsTheWholeListOfFallbacks(t *testing.T) {
	vendor := &litellm{models: []string{"support-model", "small", "large"}, fallbacks: map[string][]string{"support-model": {"small", "large"}}}
	b := begin(t, "litellm", "sk-1234", vendor)
	// [small] is the beginning of [small, large], and another list.
	b.rollBack(t, "small", `{"fallback_models":["small","large"]}`, `{"fallback_models":["small"]}`)
	b.refused(t, b.request(t, "gone"), "404 Not Found: Model 'gone' not found in router")
	vendor.noDB = true
	b.refused(t, b.request(t, "large"), "STORE_MODEL_IN_DB")
	delete(vendor.fallbacks, "support-model")
	if _, err := b.runner.Observe(t.Context(), b.request(t, "small")); err == nil || !strings.Contains(err.Error(), "No general fallbacks configured") {
		t.Errorf("none configured is neither set nor not set: %v", err)
	}
}

// launchdarkly keeps whether a flag is on.
type launchdarkly struct {
	on       bool
	approval bool
}

func (l *launchdarkly) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, code, why string) { answer(w, status, map[string]any{"code": code, "message": why}) }
	switch {
	case r.Header.Get("Authorization") != "api-key":
		refuse(401, "unauthorized", "Invalid access token")
	case r.URL.Path != "/api/v2/flags/support/new-router":
		refuse(404, "not_found", "Unknown flag")
	case r.Method == "GET":
		answer(w, 200, l.flag())
	case !strings.Contains(r.Header.Get("Content-Type"), "domain-model=launchdarkly.semanticpatch"):
		refuse(400, "invalid_request", "Invalid patch: expected a list of operations")
	case l.approval:
		refuse(405, "method_not_allowed", "Approval is required to make this request")
	default:
		var body struct {
			EnvironmentKey string
			Instructions   []struct{ Kind string }
		}
		if json.NewDecoder(r.Body).Decode(&body) != nil || body.EnvironmentKey != "production" {
			refuse(400, "invalid_request", "environmentKey is required")
			return
		}
		for _, i := range body.Instructions {
			l.on = i.Kind == "turnFlagOn" || l.on && i.Kind != "turnFlagOff"
		}
		answer(w, 200, l.flag())
	}
}

func (l *launchdarkly) flag() any {
	return map[string]any{"key": "new-router", "_version": 3, "environments": map[string]any{
		"production": map[string]any{"on": l.on, "fallthrough": map[string]any{"variation": 0}, "offVariation": 1},
		"test":       map[string]any{"on": false},
	}}
}

func TestLaunchDarklyTurnsAFlagOff(t *testing.T) {
	vendor := &launchdarkly{on: true}
	b := begin(t, "launchdarkly", "api-key", vendor)
	b.rollBack(t, "", `{"environments":{"production":{"on":true}}}`, `{"environments":{"production":{"on":false}}}`)
	vendor.on, vendor.approval = true, true
	b.refused(t, b.request(t, ""), "Approval is required to make this request")
	vendor.approval = false
	b.call.ContentType = ""
	b.refused(t, b.request(t, ""), "Invalid patch")
}

// unleash keeps whether a flag is on.
type unleash struct{ on, changeRequests bool }

func (u *unleash) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const environment = "/api/admin/projects/default/features/new-router/environments/production"
	switch {
	case r.Header.Get("Authorization") != "user:1a2b3c4d5e":
		answer(w, 401, map[string]any{"name": "AuthenticationRequired", "message": "You must log in to use Unleash."})
	case r.Method+r.URL.Path == "GET"+environment:
		answer(w, 200, map[string]any{"name": "production", "enabled": u.on, "type": "production", "strategies": []any{}})
	case r.Method+r.URL.Path == "POST"+environment+"/off" && u.changeRequests:
		answer(w, 403, map[string]any{"name": "PermissionError", "message": "You cannot do that: change requests are enabled"})
	case r.Method+r.URL.Path == "POST"+environment+"/off":
		u.on = false
		w.WriteHeader(200)
	default:
		answer(w, 404, map[string]any{"name": "NotFoundError", "message": "Not found"})
	}
}

func TestUnleashTurnsAFlagOff(t *testing.T) {
	vendor := &unleash{on: true}
	b := begin(t, "unleash", "user:1a2b3c4d5e", vendor)
	b.rollBack(t, "", `{"enabled":true}`, `{"enabled":false}`)
	vendor.changeRequests = true
	b.refused(t, b.request(t, ""), "403 Forbidden: You cannot do that: change requests are enabled")
}

// kubernetes keeps the containers of a deployment, and patches them as the content type says.
type kubernetes struct {
	containers []map[string]any
	forward    string // what GitOps sets the image to, as soon as it looks
}

func (k *kubernetes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, reason, why string) {
		answer(w, status, map[string]any{"kind": "Status", "status": "Failure", "message": why, "reason": reason, "code": status})
	}
	switch {
	case r.Header.Get("Authorization") != "Bearer token":
		refuse(401, "Unauthorized", "Unauthorized")
	case r.URL.Path != "/apis/apps/v1/namespaces/support/deployments/support-bot":
		refuse(403, "Forbidden", "deployments.apps is forbidden")
	case r.Method == "GET":
		k.deployment(w)
	default:
		var patch struct {
			Spec struct {
				Template struct {
					Spec struct{ Containers []map[string]any }
				}
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&patch); err != nil {
			refuse(400, "BadRequest", "invalid patch")
			return
		}
		switch r.Header.Get("Content-Type") {
		case "application/strategic-merge-patch+json":
			for _, c := range patch.Spec.Template.Spec.Containers {
				k.merge(c)
			}
		case "application/merge-patch+json": // lists are replaced
			k.containers = patch.Spec.Template.Spec.Containers
		default:
			refuse(415, "UnsupportedMediaType", "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, …")
			return
		}
		k.deployment(w)
	}
}

// merge finds the container by its name. One that isn't there is added.
func (k *kubernetes) merge(patch map[string]any) {
	for _, c := range k.containers {
		if c["name"] == patch["name"] {
			c["image"] = patch["image"]
			return
		}
	}
	k.containers = append(k.containers, patch)
}

func (k *kubernetes) deployment(w http.ResponseWriter) {
	answer(w, 200, map[string]any{
		"kind": "Deployment", "metadata": map[string]any{"name": "support-bot", "generation": 8},
		"spec":   map[string]any{"replicas": 3, "template": map[string]any{"spec": map[string]any{"containers": k.containers}}},
		"status": map[string]any{"observedGeneration": 7, "conditions": []any{map[string]any{"type": "Progressing", "reason": "NewReplicaSetAvailable"}}},
	})
	if k.forward != "" {
		k.merge(map[string]any{"name": "bot", "image": k.forward})
	}
}

func TestKubernetesPinsTheImageBefore(t *testing.T) {
	image := func(tag string) string { return "registry.internal/support-bot:" + tag }
	seen := func(tag string) string {
		return `{"spec":{"template":{"spec":{"containers":[{"image":"` + image(tag) + `","name":"bot"}]}}}}`
	}
	deployed := func() *kubernetes {
		return &kubernetes{containers: []map[string]any{{"name": "proxy", "image": "envoy"}, {"name": "bot", "image": image("v7"), "env": []any{}}}}
	}
	vendor := deployed()
	b := begin(t, "kubernetes", "token", vendor)
	b.rollBack(t, "v6", seen("v7"), seen("v6"))
	if len(vendor.containers) != 2 || vendor.containers[1]["env"] == nil {
		t.Errorf("a sidecar or what stands beside the image is lost: %v", vendor.containers)
	}
	// GitOps sets it forward again: confirmed once, and not when it is looked at again.
	vendor.forward = image("v7")
	request := b.request(t, "v6")
	if o := b.runner.Do(t.Context(), request, "attempt"); o.State != action.Applied {
		t.Errorf("%+v", o)
	}
	if confirmed, now, err := b.runner.Confirm(t.Context(), request); confirmed || now != seen("v7") || err != nil {
		t.Error(confirmed, now, err)
	}
	for contentType, trap := range map[string]func(*testing.T, *kubernetes, action.Outcome){
		"": func(t *testing.T, _ *kubernetes, o action.Outcome) {
			if o.State != action.Refused || !strings.Contains(o.Reason, "415") {
				t.Errorf("%+v", o)
			}
		},
		"application/merge-patch+json": func(t *testing.T, k *kubernetes, o action.Outcome) {
			if o.State != action.Applied || len(k.containers) != 1 {
				t.Errorf("the server doesn't have the trap that the recipe warns of: %+v", o)
			}
		},
	} {
		vendor := deployed()
		b := begin(t, "kubernetes", "token", vendor)
		b.call.ContentType = contentType
		trap(t, vendor, b.runner.Do(t.Context(), b.request(t, "v6"), "attempt"))
	}
}
