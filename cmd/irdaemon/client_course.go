package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/web/client"
)

func mitigatedCommand(settings *clientSettings) *cobra.Command {
	var at string
	command := &cobra.Command{
		Use: "mitigated ID TEXT…", Short: "Say what you did by hand that should help",
		Long: paragraphs("Say what was done by hand to stop the harm: the title of one of the runbook's mitigations, or any words.",
			"Whoever says it has the incident. Recovery is verified from then on; nothing is done to any system."),
		Example: "  irdaemon mitigated 42 routed paid traffic to the fallback model\n  irdaemon mitigated 42 --at 14:18 prompt set back to v6",
		Args:    arguments(cobra.MinimumNArgs(2), "an incident and what was done, or - for standard input"),
		RunE: func(command *cobra.Command, args []string) error {
			done, err := timePast("--at", at, settings.now())
			if err != nil {
				return err
			}
			what, err := said{what: "text"}.read(command.InOrStdin(), args[1:])
			if err != nil {
				return err
			}
			return settings.onIncident(command, args[0], func(view incident.View) string { return mitigatedText(view, settings.now()) },
				func(ctx context.Context, api *client.Client, by string) (incident.View, error) {
					return api.Mitigated(ctx, args[0], by, what, done)
				})
		},
		ValidArgsFunction: settings.completeFirst(openIncident),
	}
	command.Flags().StringVar(&at, "at", "", "when it was done: 14:18 in UTC, or\n2026-11-03T14:18:00Z; default: now")
	placeholders(command.Flags(), map[string]string{"at": "TIME"})
	_ = command.RegisterFlagCompletionFunc("at", cobra.NoFileCompletions)
	return settings.writes(command)
}

func severityCommand(settings *clientSettings) *cobra.Command {
	var reason, lasts string
	command := &cobra.Command{
		Use: "severity ID SEVERITY", Short: "Say how bad an incident is",
		Long: paragraphs("Set an incident's severity.",
			"A higher one calls, as if the rubric had raised it. A lower one needs a reason and stays for --for, 30m where it is not given and 24h at most; then the rubric counts again."),
		Example: "  irdaemon severity 42 sev1\n  irdaemon severity 42 sev3 --reason 'internal users only' --for 1h",
		Args:    arguments(cobra.ExactArgs(2), "an incident and a severity, sev1 to sev4"),
		RunE: func(command *cobra.Command, args []string) error {
			if err := checkSeverity("the severity", args[1]); err != nil {
				return err
			}
			if err := checkDuration("--for", lasts); err != nil {
				return err
			}
			return settings.onIncident(command, args[0], func(view incident.View) string { return severityText(view, settings.now()) },
				func(ctx context.Context, api *client.Client, by string) (incident.View, error) {
					return api.SetSeverity(ctx, args[0], by, runbook.Severity(args[1]), oneLine(plain(reason)), lasts)
				})
		},
		ValidArgsFunction: settings.completeSeverity,
	}
	flags := command.Flags()
	flags.StringVar(&reason, "reason", "", "why; needed to lower it")
	flags.StringVar(&lasts, "for", "", "how long a lower one stays, such as 45m; default: 30m")
	placeholders(flags, map[string]string{"reason": "TEXT", "for": "DURATION"})
	_ = command.RegisterFlagCompletionFunc("reason", cobra.NoFileCompletions)
	complete(command, "for", "30m", "1h", "4h")
	return settings.writes(command)
}

func dismissCommand(settings *clientSettings) *cobra.Command {
	var reason, why, of string
	command := &cobra.Command{
		Use: "dismiss ID --reason REASON", Short: "End an incident that was none",
		Long: paragraphs("End an incident that was none. Nobody is called any more, and no postmortem is due.",
			"What fires stays quiet until it has been clear, unless it gets worse. A dismissal can be taken back for an hour: irdaemon reopen."),
		Example: "  irdaemon dismiss 42 --reason false_alarm --text 'the evaluation job asked for harm'\n" +
			"  irdaemon dismiss 43 --reason duplicate --of 42",
		Args: arguments(cobra.ExactArgs(1), "one incident: an id or a number"),
		RunE: func(command *cobra.Command, args []string) error {
			if err := checkDismissal(reason, of); err != nil {
				return err
			}
			other := strings.TrimPrefix(of, "#")
			return settings.onIncident(command, args[0], func(view incident.View) string { return dismissedText(view, reason, other) },
				func(ctx context.Context, api *client.Client, by string) (incident.View, error) {
					return api.Dismiss(ctx, args[0], by, reason, strings.TrimSpace(plain(why)), other)
				})
		},
		ValidArgsFunction: settings.completeFirst(anyIncident),
	}
	flags := command.Flags()
	flags.StringVar(&reason, "reason", "", strings.Join(incident.DismissReasons, ", "))
	flags.StringVar(&why, "text", "", "what it was instead")
	flags.StringVar(&of, "of", "", "the incident that it is a duplicate of")
	placeholders(flags, map[string]string{"reason": "REASON", "text": "TEXT", "of": "ID"})
	complete(command, "reason", incident.DismissReasons...)
	_ = command.RegisterFlagCompletionFunc("text", cobra.NoFileCompletions)
	_ = command.RegisterFlagCompletionFunc("of", settings.completions(anyIncident))
	return settings.writes(command)
}

// checkDismissal finds what the daemon would refuse whatever the incident.
func checkDismissal(reason, of string) error {
	switch duplicate := reason == incident.Duplicate; {
	case !slices.Contains(incident.DismissReasons, reason):
		return wrongUsage("--reason %q is not known; %s", reason, strings.Join(incident.DismissReasons, ", "))
	case duplicate && of == "":
		return wrongUsage("--reason duplicate without --of ID, the other incident")
	case !duplicate && of != "":
		return wrongUsage("--of names the incident of a duplicate; --reason duplicate")
	case duplicate:
		return checkRef(of)
	}
	return nil
}

func reopenCommand(settings *clientSettings) *cobra.Command {
	var reason string
	command := &cobra.Command{
		Use: "reopen ID --reason TEXT", Short: "Open an incident again that ended too soon",
		Long: paragraphs("Open an incident again that was resolved within its runbook's reopen_within, or dismissed within an hour.",
			"Those who had been called are called again."),
		Example: "  irdaemon reopen 42 --reason 'refusals are back in German'",
		Args:    arguments(cobra.ExactArgs(1), "one incident: an id or a number"),
		RunE: func(command *cobra.Command, args []string) error {
			why := oneLine(plain(reason))
			if why == "" {
				return wrongUsage("--reason is empty; say why it is not over")
			}
			return settings.onIncident(command, args[0], reopenedText,
				func(ctx context.Context, api *client.Client, by string) (incident.View, error) {
					return api.Reopen(ctx, args[0], by, why)
				})
		},
		ValidArgsFunction: settings.completeFirst(endedIncident),
	}
	command.Flags().StringVar(&reason, "reason", "", "why it is not over")
	placeholders(command.Flags(), map[string]string{"reason": "TEXT"})
	_ = command.RegisterFlagCompletionFunc("reason", cobra.NoFileCompletions)
	return settings.writes(command)
}
