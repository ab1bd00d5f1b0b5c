package config

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// Load reads a settings file with all signals and runbooks that it names, and checks them against each other. The
// report has every problem of every file; the config is fit for use where the report has no errors.
func Load(path string) (*Config, *document.Report) {
	report := &document.Report{}
	s := newScope(report)
	s.settings(path)
	s.check()
	report.Sort()
	return &s.config, report
}

// CheckDates warns of approvals that are over, and of reviews that are overdue.
func (c *Config) CheckDates(now time.Time, report *document.Report) {
	for _, s := range c.Runbooks {
		s.Runbook.CheckDates(now, c.Settings.ReviewEvery, report)
	}
	report.Sort()
}

// scope is a set of documents that are checked against each other.
type scope struct {
	report      *document.Report
	config      Config
	runbooks    []*runbook.Runbook
	read        map[string]bool // files, by their clean paths
	hasSettings bool
	signalFiles int
	unreadable  bool // a file of signals could not be read, so a signal that is missing may stand in it
	unreadBooks bool // the same of a runbook
	quieted     []document.Value
	documents   []document.Value // of the runbooks
}

func newScope(report *document.Report) *scope {
	return &scope{
		report: report, read: map[string]bool{},
		config: Config{Settings: defaultSettings(), Signals: map[string]*triggers.Signal{}},
	}
}

// open reads and parses a file, once a scope.
func (s *scope) open(path string, options ...document.Option) (document.Value, bool) {
	if clean := filepath.Clean(path); s.read[clean] {
		return document.Value{}, false
	} else {
		s.read[clean] = true
	}
	s.config.Files = append(s.config.Files, path)
	content, err := readFile(path)
	if err != nil {
		s.report.Error(document.Place{File: path}, err.Error(), "")
		return document.Value{}, false
	}
	return document.Parse(path, content, s.report, options...)
}

// readFile reads at most one byte more than a document may have.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, reason(err)
	}
	if info.Size() > document.MaxBytes {
		return nil, fmt.Errorf("the file has %d bytes, at most 1 MiB is read", info.Size())
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, reason(err)
	}
	return content, nil
}

// reason is the cause of a file error without the path, which the place names already.
func reason(err error) error {
	if pathError, ok := err.(*fs.PathError); ok { //nolint:errorlint // os returns it bare
		return fmt.Errorf("cannot be read: %w", pathError.Err)
	}
	return err
}

// settings reads the settings file, then all that it names.
func (s *scope) settings(path string) {
	s.hasSettings = true
	v, ok := s.open(path, document.WithEnvironment(os.LookupEnv))
	if !ok {
		return
	}
	r := &settingsReader{files: files{dir: filepath.Dir(path)}}
	r.read(v)
	s.config.Settings, s.quieted = r.Settings, r.quieted
	signals, found := r.expand(r.signals)
	s.unreadable = !found
	for _, name := range signals {
		s.signals(name)
	}
	runbooks, found := r.expand(r.runbooks)
	s.unreadBooks = !found
	for _, name := range runbooks {
		s.runbook(name)
	}
}

// signals reads a file of signals into the scope.
func (s *scope) signals(path string) {
	if s.read[filepath.Clean(path)] {
		return
	}
	s.signalFiles++
	v, ok := s.open(path)
	if !ok {
		s.unreadable = true
		return
	}
	s.addSignals(v)
}

func (s *scope) addSignals(v document.Value) {
	s.unreadable = s.unreadable || !v.Get("signals").IsMap()
	for name, signal := range triggers.ReadSignals(v) {
		if first := s.config.Signals[name]; first != nil {
			s.report.Error(signal.Place, "a second signal named "+name, "the first is at "+where(first.Place))
			continue
		}
		s.config.Signals[name] = signal
	}
}

// runbook reads a runbook into the scope.
func (s *scope) runbook(path string) {
	if s.read[filepath.Clean(path)] {
		return
	}
	v, ok := s.open(path)
	if !ok {
		s.unreadBooks = true
		return
	}
	s.addRunbook(v)
}

func (s *scope) addRunbook(v document.Value) {
	r := runbook.Read(v)
	for _, other := range s.runbooks {
		if other.Name == r.Name && r.Name != "" {
			s.report.Error(v.Key("runbook"), "a second runbook named "+r.Name, "the first is at "+where(other.Place))
		}
	}
	s.runbooks = append(s.runbooks, r)
	s.documents = append(s.documents, v)
	s.unreadBooks = s.unreadBooks || r.Name == ""
}

func where(p document.Place) string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// check checks the runbooks against the settings and the signals, as far as these are at hand.
func (s *scope) check() {
	known := runbook.Known{Signals: s.known()}
	if s.hasSettings {
		known.Roles = sorted(s.config.Settings.Roles)
		known.Connectors = sorted(s.config.Settings.Connectors)
	}
	for i, r := range s.runbooks {
		if known.Signals == nil {
			s.report.Warn(r.Place, "no file of signals was given: signals and units are not checked", "irdaemon check SETTINGS, or the files of the signals too")
		}
		r.Check(known)
		s.checkActions(r, s.documents[i])
		s.config.Settings.warnUnreached(r.Owner, s.documents[i].Get("owner"))
		s.config.Runbooks = append(s.config.Runbooks, runbook.NewSnapshot(r, s.config.Signals))
	}
	slices.SortFunc(s.config.Runbooks, func(a, b *runbook.Snapshot) int { return cmp.Compare(a.Runbook.Name, b.Runbook.Name) })
	s.checkQuiet()
}

// checkQuiet notes runbooks of the quiet times that there are not, where all of them could be read.
func (s *scope) checkQuiet() {
	if s.unreadBooks {
		return
	}
	names := []string{}
	for _, r := range s.config.Runbooks {
		names = append(names, r.Runbook.Name)
	}
	for _, list := range s.quieted {
		list.Items(func(item document.Value) { checkDefined(item, "runbook", names) })
	}
}

// known gives the signals that the runbooks may use: nil where no file of signals was given.
func (s *scope) known() map[string]*triggers.Signal {
	if !s.hasSettings && s.signalFiles == 0 {
		return nil
	}
	if !s.unreadable {
		return s.config.Signals
	}
	known := maps.Clone(s.config.Signals)
	for _, r := range s.runbooks {
		for _, name := range r.SignalNames() {
			if _, there := known[name]; !there {
				known[name] = nil
			}
		}
	}
	return known
}

func sorted[T any](named map[string]T) []string {
	names := slices.Sorted(maps.Keys(named))
	if names == nil {
		return []string{}
	}
	return names
}

// pattern is a glob of the settings, with its place.
type pattern struct {
	text string
	at   document.Value
}

// globs reads a list of globs. It may be empty.
func (s *settingsReader) globs(into *[]pattern) func(document.Value) {
	return func(v document.Value) {
		if texts, ok := v.Texts(); !ok || len(texts) == 0 {
			return
		}
		v.Items(func(item document.Value) {
			text, _ := item.Text()
			*into = append(*into, pattern{text, item})
		})
	}
}

// expand gives the files that globs match, in order. A glob without a match is noted, and complete is false.
func (s *settingsReader) expand(patterns []pattern) (all []string, complete bool) {
	complete = true
	for _, p := range patterns {
		found, err := filepath.Glob(s.files.path(p.text))
		switch {
		case err != nil:
			p.at.Error("`"+p.text+"` is no pattern", "a path with *, ? or [a-z], such as runbooks/*.yaml")
		case len(found) == 0:
			p.at.Error("no file matches "+s.files.path(p.text), "paths are relative to the settings file")
		}
		complete = complete && len(found) > 0
		all = append(all, found...)
	}
	return all, complete
}
