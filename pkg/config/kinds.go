package config

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/irdaemon/irdaemon/pkg/access"
	"github.com/irdaemon/irdaemon/pkg/document"
)

// LoadFiles reads settings, files of signals, runbooks, files that say who may call the API, and folders of them, told
// apart by their keys: what check does. Settings are checked with all that they name; files beside one settings file are checked against it.
func LoadFiles(paths ...string) (*Config, *document.Report) {
	report := &document.Report{}
	var found [kinds][]string
	for _, path := range paths {
		for kind, names := range sortOut(path, report) {
			found[kind] = append(found[kind], names...)
		}
	}
	first := newScope(report)
	read := map[string]bool{}
	for i, path := range found[isSettings] {
		s := first
		if i > 0 {
			s = newScope(report)
		}
		s.settings(path)
		maps.Copy(read, s.read)
		if len(found[isSettings]) > 1 {
			s.check()
		}
	}
	loose := first
	if len(found[isSettings]) > 1 {
		loose = newScope(report)
		loose.read = read
	}
	for _, path := range found[isSignals] {
		loose.signals(path)
	}
	for _, path := range found[isRunbook] {
		loose.runbook(path)
	}
	loose.check()
	for _, path := range found[isTokens] {
		access.Check(path, "", report)
	}
	for _, path := range found[isWebConfig] {
		access.Check("", path, report)
	}
	report.Sort()
	return &first.config, report
}

// kind is what a file is, told by its keys.
type kind int

const (
	isUnknown kind = iota
	isSettings
	isSignals
	isRunbook
	isTest
	isRecipe
	isTokens
	isWebConfig
	kinds
)

// settingsKeys tell settings from other people's YAML.
var settingsKeys = []string{"prometheus", "embedded", "runbooks", "roles", "receivers", "severities", "blind_after", "connectors", "instance"}

// webConfigKeys tell exporter-toolkit's web config.
var webConfigKeys = []string{"basic_auth_users", "tls_server_config", "http_server_config", "rate_limit"}

func kindOf(v document.Value) kind {
	keys := v.Keys()
	switch {
	case slices.Contains(keys, "runbook"):
		return isRunbook
	case slices.Contains(keys, "tests"):
		return isTest
	case slices.Contains(keys, "in_settings") || slices.Contains(keys, "in_runbook"):
		return isRecipe
	case v.Get("signals").IsMap():
		return isSignals
	}
	for _, key := range settingsKeys {
		if slices.Contains(keys, key) {
			return isSettings
		}
	}
	switch {
	case slices.Contains(keys, "tokens"):
		return isTokens
	case slices.ContainsFunc(webConfigKeys, func(key string) bool { return slices.Contains(keys, key) }):
		return isWebConfig
	case slices.Contains(keys, "signals"):
		return isSignals
	case slices.Contains(keys, "trigger") || slices.Contains(keys, "rollback") || slices.Contains(keys, "triage"):
		return isRunbook
	}
	return isUnknown
}

// sortOut tells what a file is, or what each file of a folder and of the folders below is. A test is left to the
// command that runs it. A recipe, parts of settings and of a runbook to be copied from, is checked where it was copied
// to: its files and addresses are examples. What is nothing of ours is an error when named, and a warning inside a folder.
func sortOut(path string, report *document.Report) (found [kinds][]string) {
	info, err := os.Stat(path)
	if err != nil {
		report.Error(document.Place{File: path}, reason(err).Error(), "")
		return found
	}
	names := []string{path}
	if info.IsDir() {
		names = documentsBelow(path, report)
	}
	for _, name := range names {
		content, err := readFile(name)
		if err != nil {
			report.Error(document.Place{File: name}, err.Error(), "")
			continue
		}
		v, ok := document.Parse(name, content, report)
		if !ok {
			continue
		}
		kind := kindOf(v)
		if kind == isUnknown {
			const what, allowed = "neither settings, nor signals, nor a runbook", "a document with runbook:, signals: or, for settings, prometheus: or embedded:"
			if info.IsDir() {
				v.Warn(what+": left out", allowed)
			} else {
				v.Error(what, allowed)
			}
		}
		if kind == isRecipe && !info.IsDir() {
			v.Warn("a recipe: not checked by itself", "copy in_settings into the settings and in_runbook into a runbook, and check those")
		}
		found[kind] = append(found[kind], name)
	}
	return found
}

// documentsBelow gives the YAML files of a folder and those below it, hidden ones left out.
func documentsBelow(dir string, report *document.Report) []string {
	var names []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path != dir && strings.HasPrefix(entry.Name(), ".") {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if extension := filepath.Ext(path); !entry.IsDir() && (extension == ".yaml" || extension == ".yml") {
			names = append(names, path)
		}
		return nil
	})
	if err != nil {
		report.Error(document.Place{File: dir}, reason(err).Error(), "")
	}
	if len(names) == 0 && err == nil {
		report.Error(document.Place{File: dir}, "the folder has no YAML files", "settings, signals or runbooks")
	}
	return names
}
