package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/incident/text"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/web/client"
)

func incidentsCommand(settings *clientSettings) *cobra.Command {
	filter := &listFlags{}
	list := func(command *cobra.Command, _ []string) error { return listIncidents(command, settings, filter) }
	command := &cobra.Command{
		Use:     "incidents",
		Aliases: []string{"incident"},
		Short:   "List incidents, show one",
		Example: "  irdaemon incidents\n  irdaemon incidents list --state all --severity sev1\n  irdaemon incidents show 42",
		Args:    arguments(cobra.NoArgs, "list or show ID"),
		RunE:    list,
	}
	listCommand := &cobra.Command{
		Use: "list", Short: "List incidents, newest first", Args: arguments(cobra.NoArgs, "no arguments; flags select"), RunE: list,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	show := &cobra.Command{
		Use: "show ID", Short: "Show an incident: what is wrong, who has it, what to do, what happened",
		Args: arguments(cobra.ExactArgs(1), "one incident: an id or a number"),
		RunE: func(command *cobra.Command, args []string) error { return showIncident(command, settings, args[0]) },

		ValidArgsFunction: settings.completeFirst(anyIncident),
	}
	filter.add(settings, command)
	filter.add(settings, listCommand)
	command.AddCommand(listCommand, show)
	return command
}

// listFlags select incidents.
type listFlags struct {
	state, runbook, severity, after string
	limit                           int
	self                            bool
}

// listStates are what --state takes.
var listStates = []string{"open", "all", "triggered", "acknowledged", "mitigating", "verifying", "resolved", "closed", "dismissed"}

const maxListed = 200

func (f *listFlags) add(settings *clientSettings, command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&f.state, "state", "open", "a state, open or all")
	flags.StringVar(&f.runbook, "runbook", "", "only of this runbook")
	flags.StringVar(&f.severity, "severity", "", "only of this severity, such as sev1")
	flags.StringVar(&f.after, "after", "", "go on where the page before ended")
	flags.IntVar(&f.limit, "limit", 50, fmt.Sprintf("at most so many, up to %d", maxListed))
	flags.BoolVar(&f.self, "self", false, "the daemon's own troubles instead")
	placeholders(flags, map[string]string{"state": "STATE", "runbook": "NAME", "severity": "SEVERITY", "after": "POSITION", "limit": "NUMBER"})
	complete(command, "state", listStates...)
	complete(command, "severity", severityNames()...)
	_ = command.RegisterFlagCompletionFunc("runbook", settings.completions(runbookNames))
}

// severityNames are sev1 to sev4.
func severityNames() []string {
	var names []string
	for _, severity := range runbook.Severities {
		names = append(names, string(severity))
	}
	return names
}

// checkSeverity refuses what is none, by the name of the flag or argument.
func checkSeverity(of, severity string) error {
	if names := severityNames(); !slices.Contains(names, severity) {
		return wrongUsage("%s %q is not known; %s", of, severity, strings.Join(names, ", "))
	}
	return nil
}

// check finds what the daemon would refuse, so that it is told as wrong usage, by the flag's name.
func (f *listFlags) check() error {
	switch {
	case !slices.Contains(listStates, f.state):
		return wrongUsage("--state %q is not known; %s", f.state, strings.Join(listStates, ", "))
	case f.limit < 1 || f.limit > maxListed:
		return wrongUsage("--limit %d is not possible; 1 to %d", f.limit, maxListed)
	case f.severity != "":
		return checkSeverity("--severity", f.severity)
	}
	return nil
}

func listIncidents(command *cobra.Command, settings *clientSettings, flags *listFlags) error {
	if err := flags.check(); err != nil {
		return err
	}
	api, err := settings.dial()
	if err != nil {
		return err
	}
	page, err := api.List(command.Context(), incident.Filter{
		State: flags.state, Runbook: flags.runbook, Severity: runbook.Severity(flags.severity), After: flags.after, Limit: flags.limit, Self: flags.self,
	})
	if err != nil {
		return settings.advise(err)
	}
	if page.Next != "" && settings.output == "text" {
		defer fmt.Fprintf(command.ErrOrStderr(), "there are more: --after %s\n", cut(oneLine(text.Clean(page.Next)), text.Width))
	}
	if settings.output == "text" && !flags.self && flags.after == "" {
		warnOfTroubles(command, api)
	}
	return settings.print(command.OutOrStdout(), page, func() string {
		if len(page.Incidents) == 0 {
			return nothingListed(flags)
		}
		return text.Table(page.Incidents, settings.now())
	})
}

// warnOfTroubles says that the daemon itself is in trouble: an empty list of incidents calms nobody then.
func warnOfTroubles(command *cobra.Command, api *client.Client) {
	troubles, err := api.List(command.Context(), incident.Filter{State: "open", Self: true, Limit: maxListed})
	if err != nil {
		return // the list itself was answered; this is a word beside it
	}
	for _, view := range troubles.Incidents {
		fmt.Fprintf(command.ErrOrStderr(), "%s\n", cut(oneLine(text.Clean(view.Title+": "+view.Impact)), text.Width))
	}
	if len(troubles.Incidents) > 0 {
		fmt.Fprintln(command.ErrOrStderr(), "the daemon itself is in trouble: irdaemon incidents --self")
	}
}

// nothingListed says what there is none of, so that an empty list is not taken for a broken one.
func nothingListed(flags *listFlags) string {
	said := "incidents"
	if flags.self {
		said = "troubles of the daemon's own"
	}
	if flags.state != "all" {
		said = flags.state + " " + said
	}
	said = "no " + said
	if flags.runbook != "" {
		said += " of runbook " + flags.runbook
	}
	if flags.severity != "" {
		said += " of " + flags.severity
	}
	return text.Clean(said) + "\n"
}

// incidentRef is an id or a number, with or without #.
var incidentRef = regexp.MustCompile(`^#?[A-Za-z0-9_-]{1,63}$`)

func checkRef(ref string) error {
	if incidentRef.MatchString(ref) {
		return nil
	}
	return wrongUsage("%q is not an incident; give its id or its number, such as 42", ref)
}

func showIncident(command *cobra.Command, settings *clientSettings, ref string) error {
	return ask(command, settings, ref, func(ctx context.Context, api *client.Client) (incident.View, error) {
		return api.Show(ctx, ref)
	}, func(view incident.View) string { return text.Incident(view, settings.now()) })
}
