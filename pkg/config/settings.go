package config

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/irdaemon/irdaemon/pkg/action"
	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// What actions may do.
const (
	ActionsDryRun  = "dry_run"
	ActionsEnabled = "enabled"
	ActionsOff     = "off"
)

const day = 24 * time.Hour

// settingsReader reads irdaemon.yaml. Names that stand in it are checked when all of it is read.
type settingsReader struct {
	Settings
	files    files // relative paths are below the settings file's folder
	signals  []pattern
	runbooks []pattern
	checks   []func()         // of names, once all names of the settings are known
	quieted  []document.Value // lists of names of runbooks, which are known last
}

// defaultSettings are those of a file that says nothing.
func defaultSettings() Settings {
	instance, err := os.Hostname()
	if err != nil || !triggers.ValidName(instance) {
		instance = "irdaemon"
	}
	return Settings{
		Instance:    instance,
		Interval:    15 * time.Second,
		BlindAfter:  5 * time.Minute,
		ReviewEvery: 90 * day,
		Store:       Store{Path: "data/irdaemon.db", Keep: 2 * 365 * day, Lease: 10 * time.Second},
		Web:         Web{Listen: "127.0.0.1:9847"},
		Severities: map[runbook.Severity]Severity{
			runbook.Sev1: {Means: "Broad user harm or regulatory risk.", AcknowledgeWithin: 5 * time.Minute, Page: true},
			runbook.Sev2: {Means: "Major degradation with a workaround.", AcknowledgeWithin: 15 * time.Minute, Page: true},
			runbook.Sev3: {Means: "Partial degradation or internal-only issue.", AcknowledgeWithin: time.Hour, Page: true},
			runbook.Sev4: {Means: "Minor anomaly; watch and investigate.", AcknowledgeWithin: time.Hour, Page: false},
		},
		Roles:      map[string]Role{},
		Changes:    Changes{Since: day, ByArtifact: map[string]time.Duration{}},
		Connectors: action.Connectors{},
		Actions:    ActionsDryRun,
		Receivers:  map[string]Receiver{},
		Limits:     Limits{Segments: 10_000, OpenGroups: 50, Pages: 6, PagesIn: 15 * time.Minute, Queries: 8},
	}
}

// read reads the whole settings document.
func (s *settingsReader) read(v document.Value) {
	s.Settings = defaultSettings()
	s.Place = v.Place()
	v.Object(append(s.sourceFields(),
		document.Field{Key: "instance", Read: document.Into(&s.Instance, document.Value.Text)},
		document.Field{Key: "interval", Read: document.Into(&s.Interval, document.Value.Positive)},
		document.Field{Key: "phase", Read: s.readPhase},
		document.Field{Key: "query_offset", Read: document.Into(&s.QueryOffset, document.Value.Duration)},
		document.Field{Key: "owner", Read: s.role(&s.Owner)},
		document.Field{Key: "blind_after", Read: document.Into(&s.BlindAfter, document.Value.Positive)},
		document.Field{Key: "review_every", Read: document.Into(&s.ReviewEvery, document.Value.Positive)},
		document.Field{Key: "store", Read: s.readStore},
		document.Field{Key: "web", Read: s.readWeb},
		document.Field{Key: "signals", Required: true, Missing: "signals: [signals/*.yaml]", Read: s.globs(&s.signals)},
		document.Field{Key: "runbooks", Required: true, Missing: "runbooks: [runbooks/*.yaml]", Read: s.globs(&s.runbooks)},
		document.Field{Key: "severities", Read: s.readSeverities},
		document.Field{Key: "roles", Read: s.readRoles},
		document.Field{Key: "changes", Read: s.readChanges},
		document.Field{Key: "connectors", Read: s.readConnectors},
		document.Field{Key: "actions", Read: s.readActions},
		document.Field{Key: "receivers", Read: s.readReceivers},
		document.Field{Key: "updates", Read: s.readUpdates},
		document.Field{Key: "quiet", Read: s.readQuiet},
		document.Field{Key: "limits", Read: s.readLimits},
		document.Field{Key: "heartbeat", Read: s.readHeartbeat},
	)...)
	if !v.IsMap() {
		return
	}
	s.checkSource(v)
	s.finish(v)
}

// finish fills in what follows from other keys, and checks what holds between them.
func (s *settingsReader) finish(v document.Value) {
	s.Store.Path = s.files.path(s.Store.Path)
	if s.Embedded != nil {
		s.Embedded.Path = s.files.path(s.Embedded.Path)
	}
	s.finishWeb(v.Get("web"))
	if s.Phase >= s.Interval {
		v.Report().Error(v.Get("phase").Place(), "phase "+triggers.FormatDuration(s.Phase)+" is not below the interval",
			"from 0s to below "+triggers.FormatDuration(s.Interval)+", or auto")
	}
	if s.Owner == "" {
		v.Report().Warn(v.Key("owner"), "is missing: nobody is paged when irdaemon itself is blind, stuck or cannot deliver", "owner: a role")
	}
	for _, check := range s.checks {
		check()
	}
	s.warnLadders(v)
}

func (s *settingsReader) readPhase(v document.Value) {
	if text, ok := v.Optional(); ok && text == "auto" {
		s.PhaseAuto = true
		v.Later("auto: a later release follows the scrapes; run refuses the file")
		return
	}
	document.Into(&s.Phase, document.Value.Duration)(v)
}

func (s *settingsReader) readStore(v document.Value) {
	v.Object(
		document.Field{Key: "path", Read: document.Into(&s.Store.Path, document.Value.Text)},
		document.Field{Key: "keep", Read: unused(document.Into(&s.Store.Keep, document.Value.Positive))},
		document.Field{Key: "postgres_url_file", Read: func(v document.Value) {
			s.secret(&s.Store.PostgresURLFile)(v)
			later(v, "a later release stores there")
		}},
		document.Field{Key: "lease", Read: document.Into(&s.Store.Lease, document.Value.Positive)},
		document.Field{Key: "allow_network_fs", Read: document.Into(&s.Store.AllowNetworkFS, document.Value.Bool)},
	)
	if v.Has("path") && v.Has("postgres_url_file") {
		v.Error("path and postgres_url_file beside each other", "path for SQLite, or postgres_url_file")
	}
}

// unused reads a setting that is checked and kept, and that nothing acts on in this release.
func unused(read func(document.Value)) func(document.Value) {
	return func(v document.Value) {
		before := v.Report().Count(document.Error)
		read(v)
		if v.Report().Count(document.Error) > before {
			return
		}
		v.Warn("not acted on by this release", "it may stay: a later one does")
	}
}

func later(v document.Value, when string) { v.Later(when + "; run refuses the file") }

func (s *settingsReader) readSeverities(v document.Value) {
	var fields []document.Field
	for _, severity := range runbook.Severities {
		fields = append(fields, document.Field{Key: string(severity), Read: func(v document.Value) {
			is := s.Severities[severity]
			v.Object(
				document.Field{Key: "means", Read: document.Into(&is.Means, document.Value.Text)},
				document.Field{Key: "acknowledge_within", Read: document.Into(&is.AcknowledgeWithin, document.Value.Positive)},
				document.Field{Key: "page", Read: document.Into(&is.Page, document.Value.Bool)},
			)
			s.Severities[severity] = is
		}})
	}
	v.Object(fields...)
}

func (s *settingsReader) readChanges(v document.Value) {
	v.Object(
		document.Field{Key: "since", Read: s.readSince},
		document.Field{Key: "detect", Read: func(v document.Value) {
			v.Items(func(v document.Value) { s.Changes.Detect = append(s.Changes.Detect, readDetect(v)) })
		}},
	)
}

// readSince reads one duration, or one by artifact; default: in it is the one for all others.
func (s *settingsReader) readSince(v document.Value) {
	if !v.IsMap() {
		document.Into(&s.Changes.Since, document.Value.Positive)(v)
		return
	}
	v.Named(func(name string, at document.Place, v document.Value) {
		d, ok := v.Positive()
		switch {
		case !ok || !triggers.CheckName(v.Report(), at, name):
		case name == "default":
			s.Changes.Since = d
		default:
			s.Changes.ByArtifact[name] = d
		}
	})
}

func readDetect(v document.Value) Detect {
	d := Detect{}
	v.Object(
		document.Field{Key: "query", Required: true, Missing: "query: PromQL that yields one series a version", Read: func(v document.Value) {
			if text, ok := v.Text(); ok {
				triggers.CheckExpression(v, text)
				d.Query = text
			}
		}},
		document.Field{Key: "artifact", Required: true, Missing: "artifact: the label that names the artifact", Read: document.Into(&d.Artifact, document.Value.Text)},
		document.Field{Key: "version", Required: true, Missing: "version: the label that names the version", Read: document.Into(&d.Version, document.Value.Text)},
		document.Field{Key: "service", Read: document.Into(&d.Service, document.Value.Text)},
	)
	return d
}

func (s *settingsReader) readActions(v document.Value) {
	document.Into(&s.Actions, document.Word(ActionsDryRun, ActionsEnabled, ActionsOff))(v)
}

// readUpdates reads who receives updates. Posted ones are recorded in this release, and sent to nobody.
func (s *settingsReader) readUpdates(v document.Value) {
	read := func(key string, into *[]string) document.Field {
		return document.Field{Key: key, Read: func(v document.Value) {
			s.receiverNames(into)(v)
			if len(*into) > 0 {
				v.Warn("a posted update is recorded, but not yet sent to them", "it may stay: a later release sends it")
			}
		}}
	}
	v.Object(read("internal", &s.Updates.Internal), read("customer", &s.Updates.Customer))
}

func (s *settingsReader) readLimits(v document.Value) {
	v.Object(
		document.Field{Key: "segments", Read: document.Into(&s.Limits.Segments, document.Value.PositiveInt)},
		document.Field{Key: "open_groups", Read: document.Into(&s.Limits.OpenGroups, document.Value.PositiveInt)},
		document.Field{Key: "pages", Read: s.readPages},
		document.Field{Key: "queries", Read: document.Into(&s.Limits.Queries, func(v document.Value) (int, bool) { return v.Int(1, 256) })},
	)
}

// readPages reads 6/15m: how many pages in how long.
func (s *settingsReader) readPages(v document.Value) {
	text, ok := v.Text()
	if !ok {
		return
	}
	count, span, _ := strings.Cut(text, "/")
	n, err := strconv.Atoi(count)
	d, spanErr := model.ParseDuration(span)
	if err != nil || spanErr != nil || n < 1 || n > math.MaxInt32 || d == 0 {
		v.Error(fmt.Sprintf("`%s` is no rate", text), "a number of pages in a time, such as 6/15m")
		return
	}
	s.Limits.Pages, s.Limits.PagesIn = n, time.Duration(d)
}

// minBeat is the shortest time between two heartbeats: services drop what comes more than about five times a minute, and
// a dropped beat looks like a dead daemon.
const minBeat = 15 * time.Second

func (s *settingsReader) readHeartbeat(v document.Value) {
	h := &Heartbeat{Every: time.Minute}
	v.Object(
		document.Field{Key: "url_file", Required: true, Missing: "url_file: the file that holds the address", Read: s.secret(&h.URLFile)},
		document.Field{Key: "every", Read: func(v document.Value) {
			if every, ok := v.Duration(); ok && every < minBeat {
				v.Error(triggers.FormatDuration(every)+" is too often: the service may drop a beat and call somebody", "15s or more, such as 1m")
			} else if ok {
				h.Every = every
			}
		}},
	)
	s.Heartbeat = h
}
