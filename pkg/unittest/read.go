package unittest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/source/memory"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// defaultInterval is promtool's.
const defaultInterval = time.Minute

// Loader reads what a file of tests names: settings with all that they name or, where settings is empty, loose files of
// signals and runbooks. It gives no set where the report has an error.
type Loader func(settings string, loose []string) (*Set, *document.Report)

// Read reads files of tests. The report has every problem of every file, those of the runbooks that they test among
// them; the suite is fit to run where it has no errors.
func Read(paths []string, load Loader) (*Suite, *document.Report) {
	suite, report := &Suite{}, &document.Report{}
	known := &loaded{load: load, report: report, sets: map[string]*Set{}}
	read := map[string]bool{}
	for _, path := range paths {
		if clean := filepath.Clean(path); read[clean] {
			continue
		} else {
			read[clean] = true
		}
		v, ok := open(path, report)
		if !ok {
			continue
		}
		r := &reader{file: &file{path: path, interval: defaultInterval}, loaded: known}
		r.read(v)
		suite.files = append(suite.files, r.file)
	}
	report.Sort()
	return suite, report
}

func open(path string, report *document.Report) (document.Value, bool) {
	at := document.Place{File: path}
	info, err := os.Stat(path)
	if err == nil && info.Size() > document.MaxBytes {
		report.Error(at, fmt.Sprintf("the file has %d bytes", info.Size()), "at most 1 MiB")
		return document.Value{}, false
	}
	text, err := os.ReadFile(path)
	if err != nil {
		var cause *fs.PathError
		if errors.As(err, &cause) {
			err = cause.Err
		}
		report.Error(at, "cannot be read: "+err.Error(), "")
		return document.Value{}, false
	}
	return document.Parse(path, text, report)
}

// loaded keeps the sets that files of tests share.
type loaded struct {
	load   Loader
	report *document.Report
	sets   map[string]*Set
}

func (l *loaded) set(settings string, loose []string) *Set {
	key := strings.Join(append([]string{settings}, loose...), "\x00")
	set, known := l.sets[key]
	if !known {
		var report *document.Report
		set, report = l.load(settings, loose)
		l.report.Problems = append(l.report.Problems, report.Problems...)
		l.sets[key] = set
	}
	return set
}

// reader reads a file of tests.
type reader struct {
	*file
	*loaded
	settings string
	loose    []string
}

func (r *reader) read(v document.Value) {
	v.Object(
		document.Field{Key: "config", Read: func(v document.Value) {
			if path, ok := v.Text(); ok {
				r.settings = r.beside(path)
			}
		}},
		document.Field{Key: "signals", Read: r.readPaths},
		document.Field{Key: "runbooks", Read: r.readPaths},
		document.Field{Key: "interval", Read: document.Into(&r.interval, document.Value.Positive)},
		document.Field{Key: "tests", Required: true, Missing: "tests: a list of tests", Read: func(document.Value) {
			r.readSet(v)
			v.Get("tests").Items(r.readTest)
		}},
	)
}

// readSet loads what is tested. Without it names are not checked: what is wrong with it is told already.
func (r *reader) readSet(v document.Value) {
	loose := v.Has("signals") || v.Has("runbooks")
	switch {
	case v.Has("config") && loose:
		v.Report().Error(v.Key("config"), "config beside signals or runbooks", "config, or signals and runbooks")
	case v.Has("signals") != v.Has("runbooks"):
		v.Error("signals or runbooks without the other", "both, or config: the path of the settings")
	case !loose && !v.Has("config"):
		v.Report().Error(v.Key("config"), "is missing", "config: the path of the settings, or signals: and runbooks: with lists of paths")
	case r.settings != "" || len(r.loose) > 0:
		r.file.set = r.loaded.set(r.settings, r.loose)
	}
}

func (r *reader) readPaths(v document.Value) {
	v.Items(func(v document.Value) {
		pattern, ok := v.Text()
		if !ok {
			return
		}
		found, err := filepath.Glob(r.beside(pattern))
		if err != nil || len(found) == 0 {
			v.Error("no file matches "+r.beside(pattern), "paths are relative to the file of the tests")
		}
		r.loose = append(r.loose, found...)
	})
}

// beside gives a path that is relative to the file of the tests.
func (r *reader) beside(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(r.path), path)
}

func (r *reader) readTest(v document.Value) {
	t := &test{place: v.Place(), unsure: !v.Get("input_series").Item(0).Exists()}
	v.Object(
		document.Field{Key: "name", Required: true, Missing: "name: what the test shows", Read: func(v document.Value) {
			document.Into(&t.name, document.Value.Text)(v)
			if slices.ContainsFunc(r.tests, func(other *test) bool { return other.name == t.name && t.name != "" }) {
				v.Error("a second test with this name", "a name of its own")
			}
		}},
		document.Field{Key: "input_series", Required: true, Missing: "input_series: [{series: 'up{job=\"api\"}', values: '1x60'}]", Read: func(v document.Value) {
			v.Items(func(v document.Value) { r.readSeries(t, v) })
		}},
		document.Field{Key: "changes", Read: func(v document.Value) {
			v.Items(func(v document.Value) { t.changes = append(t.changes, t.readChange(v)) })
		}},
		document.Field{Key: "actions", Read: func(v document.Value) {
			v.Items(func(v document.Value) { r.readAction(t, v) })
		}},
		document.Field{Key: "expect", Required: true, Missing: "expect: [{at: 20m, open: []}]; a test that expects nothing can't fail", Read: func(v document.Value) {
			v.Items(func(v document.Value) { r.readExpectation(t, v) })
		}},
	)
	r.tests = append(r.tests, t)
}

func (r *reader) readSeries(t *test, v document.Value) {
	var s memory.Series
	v.Object(
		document.Field{Key: "series", Required: true, Missing: "series: 'up{job=\"api\"}'", Read: func(v document.Value) {
			set, ok := parsed(v, memory.ParseLabels)
			if ok && slices.ContainsFunc(t.series, func(other memory.Series) bool { return other.Labels.Hash() == set.Hash() }) {
				v.Error("a second series "+set.String(), "one with labels of its own")
			}
			s.Labels = set
		}},
		document.Field{Key: "values", Required: true, Missing: "values: '0+40x60', as in promtool's tests", Read: func(v document.Value) {
			s.Points, _ = parsed(v, memory.ParseValues)
		}},
	)
	t.unsure = t.unsure || len(s.Points) == 0
	t.series = append(t.series, s)
	t.end = max(t.end, memory.Span(len(s.Points), r.interval))
}

// parsed reads a text in promtool's notation, with the place of a mistake in it.
func parsed[T any](v document.Value, parse func(string) (T, error)) (T, bool) {
	var nothing T
	text, ok := v.Text()
	if !ok {
		return nothing, false
	}
	got, err := parse(text)
	if err == nil {
		return got, true
	}
	at, mistake := v.Place(), (*memory.Mistake)(nil)
	if errors.As(err, &mistake) {
		at = v.At(mistake.Offset)
	}
	v.Report().Error(at, err.Error(), "promtool's notation for series")
	return nothing, false
}

// at is the field that says when. What lies outside of the series could not be seen.
func (t *test) at(into *time.Duration) document.Field {
	return document.Field{Key: "at", Required: true, Missing: "at: 20m, counted from the first point", Read: func(v document.Value) {
		d, ok := v.Duration()
		if ok && d > t.end && !t.unsure {
			v.Error(triggers.FormatDuration(d)+" is after the last point of the series", "from 0s to "+triggers.FormatDuration(t.end))
		}
		*into = d
	}}
}

func (t *test) readChange(v document.Value) change {
	c := change{place: v.Place()}
	v.Object(
		t.at(&c.at),
		document.Field{Key: "artifact", Required: true, Missing: "artifact: what was changed, such as prompt", Read: document.Into(&c.artifact, document.Value.Text)},
		document.Field{Key: "service", Read: document.Into(&c.service, document.Value.Text)},
		document.Field{Key: "from", Read: document.Into(&c.from, document.Value.Text)},
		document.Field{Key: "to", Read: document.Into(&c.to, document.Value.Text)},
		document.Field{Key: "by", Read: document.Into(&c.by, document.Value.Text)},
	)
	return c
}

// runbooks gives the names of the runbooks; nil where they could not be loaded.
func (r *reader) runbooks() []string {
	if r.file.set == nil {
		return nil
	}
	var names []string
	for _, s := range r.file.set.Runbooks {
		names = append(names, s.Runbook.Name)
	}
	return names
}

// runbook reads the name of a runbook under test.
func (r *reader) runbook(v document.Value) (string, bool) {
	names := r.runbooks()
	name, ok := v.Text()
	if ok && names != nil && !slices.Contains(names, name) {
		v.Error("unknown runbook `"+name+"`", triggers.Suggest(name, names, "no runbook is loaded"))
		return "", false
	}
	return name, ok
}

// group reads label values of an incident's group: those of the runbook's group_by.
func (r *reader) group(into *map[string]string, of *string) document.Field {
	return document.Field{Key: "group", Read: func(v document.Value) {
		*into = map[string]string{}
		v.Named(func(name string, at document.Place, v document.Value) {
			text, _ := v.Optional()
			(*into)[name] = text
			if book := r.snapshot(*of); book != nil && !slices.Contains(book.Runbook.GroupBy, name) {
				v.Report().Error(at, *of+" is not grouped by "+name, "the labels of its group_by: "+strings.Join(book.Runbook.GroupBy, ", "))
			}
		})
	}}
}
