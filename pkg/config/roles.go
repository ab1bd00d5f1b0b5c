package config

import (
	"slices"
	"strings"

	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

func (s *settingsReader) readRoles(v document.Value) {
	v.Named(func(name string, at document.Place, v document.Value) {
		triggers.CheckName(v.Report(), at, name)
		r := Role{}
		v.Object(
			document.Field{Key: "page", Read: s.receiverNames(&r.Page)},
			document.Field{Key: "escalate_to", Read: s.names(&r.EscalateTo, "role", s.roleNames)},
		)
		for i, next := range r.EscalateTo {
			if next == name {
				v.Get("escalate_to").Item(i).Error("escalates to itself", "other roles: when the ladder is over, it begins with this role again")
			}
		}
		if v.IsMap() && len(r.Page) == 0 {
			v.Warn("pages nobody: its step of the ladder is passed over", "page: [a receiver]")
		}
		s.Roles[name] = r
	})
}

func (s *settingsReader) receiverNames(into *[]string) func(document.Value) {
	return s.names(into, "receiver", s.receiverList)
}

func (s *settingsReader) receiverList() []string { return sorted(s.Receivers) }
func (s *settingsReader) roleNames() []string    { return sorted(s.Roles) }

// names reads a list of names that are defined elsewhere in the settings, perhaps further down.
func (s *settingsReader) names(into *[]string, what string, defined func() []string) func(document.Value) {
	return func(v document.Value) {
		*into, _ = v.Texts()
		if v.IsList() && len(*into) > 0 {
			s.checks = append(s.checks, func() {
				v.Items(func(item document.Value) { checkDefined(item, what, defined()) })
			})
		}
	}
}

func checkDefined(v document.Value, what string, defined []string) {
	name, ok := v.Text()
	if !ok {
		return
	}
	if slices.Contains(defined, name) {
		return
	}
	v.Error("unknown "+what+" `"+name+"`", triggers.Suggest(name, defined, what+"s: defines none"))
}

func (s *settingsReader) role(into *string) func(document.Value) {
	return func(v document.Value) {
		document.Into(into, document.Value.Text)(v)
		s.checks = append(s.checks, func() {
			checkDefined(v, "role", s.roleNames())
			s.warnUnreached(*into, v)
		})
	}
}

// warnUnreached warns of an owner whose whole ladder reaches nobody.
func (s *Settings) warnUnreached(owner string, v document.Value) {
	role, defined := s.Roles[owner]
	if !defined {
		return // an error already
	}
	for _, name := range append([]string{owner}, role.EscalateTo...) {
		if next, known := s.Roles[name]; len(next.Page) > 0 || !known {
			return
		}
	}
	v.Warn("nobody is ever paged: neither "+owner+" nor a role that it escalates to has a receiver", "page: [a receiver], at one of them")
}

// warnLadders warns of ladders that people would read as longer than they are: a role that is escalated to is called
// itself, and its own escalate_to is not followed.
func (s *settingsReader) warnLadders(v document.Value) {
	for _, name := range s.roleNames() {
		ladder := append([]string{name}, s.Roles[name].EscalateTo...)
		steps := len(ladder)
		for _, next := range s.Roles[name].EscalateTo {
			for _, further := range s.Roles[next].EscalateTo {
				if !slices.Contains(ladder, further) {
					ladder = append(ladder, further)
				}
			}
		}
		if len(ladder) > steps {
			v.Get("roles", name, "escalate_to").Warn("the escalate_to of a role in it is not followed",
				"the whole ladder stands here, in order: "+strings.Join(ladder[1:], ", "))
		}
	}
}
