package config

import (
	"slices"
	"strings"

	"github.com/irdaemon/irdaemon/pkg/action"
	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

func (s *settingsReader) readConnectors(v document.Value) {
	v.Named(func(name string, at document.Place, v document.Value) {
		triggers.CheckName(v.Report(), at, name)
		s.Connectors[name] = s.connector(name, v)
	})
}

// connector reads one connector. What package action finds wrong with it is told at the key that it is about; the rest,
// which several keys make together, at the connector.
func (s *settingsReader) connector(name string, v document.Value) action.Connector {
	c := action.Connector{Name: name}
	before := v.Report().Count(document.Error)
	v.Object(
		document.Field{Key: "url", Required: true, Missing: "url: the address that actions reach", Read: document.Into(&c.URL, connectorURL)},
		document.Field{Key: "bearer_token_file", Read: s.secret(&c.BearerTokenFile)},
		document.Field{Key: "basic_auth", Read: func(v document.Value) {
			v.Object(
				document.Field{Key: "username", Required: true, Missing: "username: the name to log in with", Read: document.Into(&c.Username, document.Value.Text)},
				document.Field{Key: "password_file", Required: true, Missing: "password_file: the file with the password", Read: s.secret(&c.PasswordFile)},
			)
		}},
		document.Field{Key: "header_files", Read: s.headerFiles(&c)},
		document.Field{Key: "ca_file", Read: s.secret(&c.CAFile)},
		document.Field{Key: "allow", Required: true, Missing: "allow: [\"GET /labels/*\"], what may be called", Read: document.Into(&c.Allow, allowList)},
	)
	if v.Report().Count(document.Error) > before {
		return c
	}
	if err := c.Check(); err != nil {
		v.Error(err.Error(), "")
	}
	return c
}

// sound is a connector with nothing wrong, of which one thing at a time is exchanged to have just that checked.
func sound() action.Connector {
	return action.Connector{URL: "https://example.org", Allow: []string{"GET /"}}
}

func connectorURL(v document.Value) (string, bool) {
	text, ok := v.Text()
	if !ok {
		return "", false
	}
	c := sound()
	c.URL = text
	if err := c.Check(); err != nil {
		v.Error(err.Error(), "")
		return "", false
	}
	return text, true
}

// headerFiles reads the headers that hold secrets: each with the file that its value stands in.
func (s *settingsReader) headerFiles(into *action.Connector) func(document.Value) {
	return func(v document.Value) {
		into.HeaderFiles = map[string]string{}
		v.Named(func(name string, at document.Place, v document.Value) {
			c := sound()
			c.HeaderFiles = map[string]string{name: "file"}
			if err := c.Check(); err != nil {
				v.Report().Error(at, err.Error(), "such as api-key or Authorization")
				return
			}
			file := ""
			s.secret(&file)(v)
			into.HeaderFiles[name] = file
		})
	}
}

// allowList reads what may be called, each entry checked by itself.
func allowList(v document.Value) ([]string, bool) {
	all, ok := v.SomeTexts()
	if !ok {
		return nil, false
	}
	v.Items(func(item document.Value) {
		text, _ := item.Text()
		c := sound()
		c.Allow = []string{text}
		if err := c.Check(); err != nil {
			item.Error(strings.TrimPrefix(err.Error(), "allow: "), "such as \"PUT /labels/*\"")
			ok = false
		}
	})
	return all, ok
}

// checkActions notes which actions of a runbook the settings don't let run, and why: where the connector is unknown the
// runbook's own check has said so, and where it is itself wrong the settings have.
func (s *scope) checkActions(r *runbook.Runbook, v document.Value) {
	if !s.hasSettings {
		return
	}
	check := func(section string, i int, a *runbook.Action) {
		at := v.Get(section).Item(i).Get("action")
		if a == nil || s.broken(at.Place()) {
			return
		}
		c, known := s.config.Settings.Connectors[a.Connector]
		if !known || c.Check() != nil {
			return
		}
		err := s.config.Settings.Connectors.Check(action.CallOf(a))
		for _, one := range separate(err) {
			at.Error(one.Error(), "")
		}
	}
	for i := range r.Mitigate {
		check("mitigate", i, r.Mitigate[i].Action)
	}
	for i := range r.Rollback {
		check("rollback", i, r.Rollback[i].Action)
	}
}

// broken tells whether something below a place is wrong already, so that it was not read whole.
func (s *scope) broken(at document.Place) bool {
	return slices.ContainsFunc(s.report.Problems, func(p document.Problem) bool {
		return p.Level == document.Error && p.Place.File == at.File && strings.HasPrefix(p.Place.Path, at.Path)
	})
}

// separate takes joined errors apart.
func separate(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // the joined ones themselves are asked for
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}
