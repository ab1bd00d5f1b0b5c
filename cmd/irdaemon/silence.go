package main

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/incident/text"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/web"
	"github.com/irdaemon/irdaemon/pkg/web/client"
)

func silenceCommand(settings *clientSettings) *cobra.Command {
	list := func(command *cobra.Command, _ []string) error { return listSilences(command, settings) }
	command := &cobra.Command{
		Use:     "silence",
		Aliases: []string{"silences"},
		Short:   "Hold back the calls of a runbook for planned work",
		Long: paragraphs("Hold back the calls of a runbook, or of a group of it, for planned work.",
			"Incidents open and are recorded as ever, and what is worse than --up-to calls all the same. When the silence is over, what is still open and not acknowledged calls."),
		Example: silenceExamples,
		Args:    arguments(cobra.NoArgs, "add, list or end"),
		RunE:    list,
	}
	listCommand := &cobra.Command{
		Use: "list", Short: "List the silences that are not over, and what they hold back", RunE: list,
		Args: arguments(cobra.NoArgs, "no arguments"), ValidArgsFunction: cobra.NoFileCompletions,
	}
	command.AddCommand(addSilenceCommand(settings), listCommand, endSilenceCommand(settings))
	return command
}

const silenceExamples = "  irdaemon silence add good-users-refused --for 2h --reason 'the index is rebuilt'\n" +
	"  irdaemon silence add slow-answers --group tier=free --up-to sev2 --for 30m --reason 'load test'\n" +
	"  irdaemon silence list\n  irdaemon silence end k3v9q2m7x4tb"

func addSilenceCommand(settings *clientSettings) *cobra.Command {
	var asked client.NewSilence
	var reason, upTo string
	command := &cobra.Command{
		Use: "add RUNBOOK --for DURATION --reason TEXT", Short: "Hold back the calls of a runbook, or of a group of it",
		Args: arguments(cobra.ExactArgs(1), "one runbook"),
		RunE: func(command *cobra.Command, args []string) error {
			asked.Runbook, asked.Reason, asked.UpTo = args[0], oneLine(plain(reason)), runbook.Severity(upTo)
			if err := checkSilence(asked); err != nil {
				return err
			}
			var err error
			if asked.By, err = settings.who(); err != nil {
				return err
			}
			return askFor(command, settings, func(api *client.Client) (web.SilenceStatus, error) {
				return api.AddSilence(command.Context(), asked)
			}, func(s web.SilenceStatus) string { return silencedText(s, settings.now()) })
		},
		ValidArgsFunction: settings.completeFirst(runbookNames),
	}
	flags := command.Flags()
	flags.StringVar(&asked.For, "for", "", "how long, such as 2h or 3d; 7d at most")
	flags.StringVar(&reason, "reason", "", "what is planned")
	settings.groupFlag(command, &asked.Group)
	flags.StringVar(&upTo, "up-to", string(incident.DefaultUpTo), "the worst severity that is held back")
	placeholders(flags, map[string]string{"for": "DURATION", "reason": "TEXT", "up-to": "SEVERITY"})
	complete(command, "for", "30m", "1h", "2h", "1d")
	complete(command, "up-to", severityNames()...)
	_ = command.RegisterFlagCompletionFunc("reason", cobra.NoFileCompletions)
	return settings.writes(command)
}

// checkSilence finds what the daemon would refuse of any runbook, so that it is told by the flag's name.
func checkSilence(asked client.NewSilence) error {
	switch {
	case asked.For == "":
		return wrongUsage("--for is missing: how long is it planned to take, such as 2h?")
	case asked.Reason == "":
		return wrongUsage("--reason is missing: what is planned?")
	}
	if err := checkDuration("--for", asked.For); err != nil {
		return err
	}
	return checkSeverity("--up-to", string(asked.UpTo))
}

func listSilences(command *cobra.Command, settings *clientSettings) error {
	return askFor(command, settings, func(api *client.Client) (web.SilenceList, error) {
		all, err := api.Silences(command.Context())
		return web.SilenceList{Silences: all}, err
	}, func(list web.SilenceList) string { return silencesText(list.Silences, settings.now()) })
}

// silenceID is what the daemon names silences by.
var silenceID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func endSilenceCommand(settings *clientSettings) *cobra.Command {
	return settings.writes(&cobra.Command{
		Use: "end ID", Short: "End a silence before its time: what it held back calls",
		Args: arguments(cobra.ExactArgs(1), "the id of a silence"),
		RunE: func(command *cobra.Command, args []string) error {
			if !silenceID.MatchString(args[0]) {
				return wrongUsage("%q is not the id of a silence; irdaemon silence list has them", args[0])
			}
			by, err := settings.who()
			if err != nil {
				return err
			}
			return askFor(command, settings, func(api *client.Client) (web.SilenceStatus, error) {
				return api.EndSilence(command.Context(), args[0], by)
			}, func(s web.SilenceStatus) string {
				return sentence("silence %s is over: %s calls again", s.ID, silencedOf(s.Silence))
			})
		},
		ValidArgsFunction: settings.completeFirst(silenceIDs),
	})
}

// silencedOf names what a silence covers: slow-answers (tier=paid).
func silencedOf(s incident.Silence) string {
	if len(s.Group) == 0 {
		return s.Runbook
	}
	return fmt.Sprintf("%s (%s)", s.Runbook, groupText(s.Group))
}

func silencedText(s web.SilenceStatus, now time.Time) string {
	return sentence("%s is silenced up to %s until %s", silencedOf(s.Silence), s.UpTo, ahead(&s.Until, now)) +
		sentence("irdaemon silence end %s ends it", s.ID)
}

func silencesText(all []web.SilenceStatus, now time.Time) string {
	if len(all) == 0 {
		return "no silences\n"
	}
	var rows [][]string
	for _, s := range all {
		rows = append(rows, []string{s.ID, incident.Clock(s.Until, now), string(s.UpTo), silencedOf(s.Silence)})
	}
	lines := strings.SplitAfter(table([]column{{"ID", 12}, {"UNTIL", 23}, {"UP TO", 5}, {"RUNBOOK", 0}}, rows), "\n")
	told := lines[0]
	for i, s := range all {
		told += lines[i+1] + "  " + cut(oneLine(text.Clean(whatItDoes(s, now)+s.By+": "+s.Reason)), text.Width-2) + "\n"
	}
	return told
}

// whatItDoes says that a silence has not begun, or which incidents nobody is called for.
func whatItDoes(s web.SilenceStatus, now time.Time) string {
	if s.From.After(now) {
		return "from " + incident.Clock(s.From, now) + " on; "
	}
	var incidents []string
	for _, held := range s.HoldsBack {
		incidents = append(incidents, named(incident.View{ID: held.Incident, Number: held.Number}))
	}
	if len(incidents) == 0 {
		return ""
	}
	return "holds back " + strings.Join(incidents, ", ") + "; "
}
