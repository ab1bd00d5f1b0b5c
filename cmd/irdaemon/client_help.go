package main

import (
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/irdaemon/irdaemon/pkg/incident/text"
)

// placeholder is a flag's value that the help names: --reason TEXT.
type placeholder struct {
	pflag.Value
	name string
}

// Type implements pflag.Value: the help shows it.
func (p placeholder) Type() string { return p.name }

// placeholders names the values of flags in the help.
func placeholders(flags *pflag.FlagSet, names map[string]string) {
	for flag, name := range names {
		found := flags.Lookup(flag)
		found.Value = placeholder{found.Value, name}
	}
}

// paragraphs is what a command's help says, in lines that fit a terminal.
func paragraphs(texts ...string) string {
	var all []string
	for _, paragraph := range texts {
		var lines []string
		line := ""
		for _, word := range strings.Fields(paragraph) {
			if line != "" && utf8.RuneCountInString(line+" "+word) > text.Width {
				lines, line = append(lines, line), ""
			}
			line = strings.TrimPrefix(line+" "+word, " ")
		}
		all = append(all, strings.Join(append(lines, line), "\n"))
	}
	return strings.Join(all, "\n\n")
}

// groupFlag adds the flag that names a group of a runbook.
func (s *clientSettings) groupFlag(command *cobra.Command, group *map[string]string) {
	flags := command.Flags()
	flags.StringToStringVar(group, "group", nil, "labels of the runbook's group_by; several by commas")
	placeholders(flags, map[string]string{"group": "LABEL=VALUE"})
	flags.Lookup("group").DefValue = "" // else the help shows an empty list
	_ = command.RegisterFlagCompletionFunc("group", s.completeGroup)
}
