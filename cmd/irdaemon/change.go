package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/web"
	"github.com/irdaemon/irdaemon/pkg/web/client"
)

func changeCommand(settings *clientSettings) *cobra.Command {
	var told changes.Change
	var at string
	command := &cobra.Command{
		Use: "change ARTIFACT --to VERSION", Short: "Report that an artifact was changed",
		Long: paragraphs("Report that an artifact of a service was given another version: code, prompt, weights, retrieval_index, router_policy, thresholds or another word, as the rollback steps of the runbooks name it.",
			"A pipeline does this at each deploy; the same report again is one. Open incidents learn of it, and it is a suspect of those to come."),
		Example: "  irdaemon change prompt --service support-bot --from prompt-v6 --to prompt-v7\n" +
			"  irdaemon change code --to 1.4.2 --by ci --link https://ci.example.com/7 --at 13:30",
		Args: arguments(cobra.ExactArgs(1), "one artifact"),
		RunE: func(command *cobra.Command, args []string) error {
			told.Artifact, told.Note = args[0], oneLine(plain(told.Note))
			if told.To == "" && told.Note == "" {
				return wrongUsage("--to is missing: which version runs since then? Where there is none, --note says what was changed")
			}
			var err error
			if told.At, err = timePast("--at", at, settings.now()); err != nil {
				return err
			}
			if told.By, err = settings.who(); err != nil {
				return err
			}
			return askFor(command, settings, func(api *client.Client) (changes.Change, error) {
				return api.Report(command.Context(), told)
			}, func(c changes.Change) string { return changedText(c, settings.now()) })
		},
		ValidArgsFunction: cobra.FixedCompletions([]string{"code", "prompt", "weights", "retrieval_index", "router_policy", "thresholds"},
			cobra.ShellCompDirectiveNoFileComp),
	}
	flags := command.Flags()
	flags.StringVar(&told.Service, "service", "", "whose artifact it is; default: it may be any service's")
	flags.StringVar(&told.From, "from", "", "the version before")
	flags.StringVar(&told.To, "to", "", "the version since")
	flags.StringVar(&at, "at", "", "when it began to serve: 13:30 in UTC, or\n2026-11-03T13:30:00Z; default: now")
	flags.StringVar(&told.URL, "link", "", "where to read more")
	flags.StringVar(&told.Note, "note", "", "what was changed, in words")
	placeholders(flags, map[string]string{"service": "NAME", "from": "VERSION", "to": "VERSION", "at": "TIME", "link": "URL", "note": "TEXT"})
	for _, flag := range []string{"service", "from", "to", "at", "link", "note"} {
		_ = command.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions)
	}
	return settings.writes(command)
}

// changedText tells what was taken down.
func changedText(c changes.Change, now time.Time) string {
	return sentence("%s changed at %s: %s", artifactOf(c), incident.Clock(c.At, now), versionsOf(c.From, c.To, c.Note)) +
		sentence("on record as %s%s", c.ID, suffix(", by ", c.By))
}

// artifactOf names what was changed: prompt of support-bot.
func artifactOf(c changes.Change) string { return c.Artifact + suffix(" of ", c.Service) }

// suffix is nothing for an empty word.
func suffix(before, word string) string {
	if word == "" {
		return ""
	}
	return before + word
}

// versionsOf tells from what to what something goes, or what else is known of it.
func versionsOf(from, to, note string) string {
	switch {
	case from != "" && to != "":
		return from + " → " + to
	case to != "":
		return "→ " + to
	case from != "":
		return "from " + from
	}
	return note
}

func changesCommand(settings *clientSettings) *cobra.Command {
	var since, service, artifact string
	command := &cobra.Command{
		Use: "changes", Short: "List what was changed, newest first",
		Long: paragraphs("List what was changed, newest first: what was reported and what the metrics show.",
			"With --service also what names no service: it may be of any."),
		Example: "  irdaemon changes\n  irdaemon changes --since 7d --service support-bot",
		Args:    arguments(cobra.NoArgs, "no arguments; flags select"),
		RunE: func(command *cobra.Command, _ []string) error {
			from, err := lookedBack("--since", since, settings.now())
			if err != nil {
				return err
			}
			return askFor(command, settings, func(api *client.Client) (web.ChangeList, error) {
				all, err := api.Changes(command.Context(), from, service, artifact)
				return web.ChangeList{Changes: all}, err
			}, func(list web.ChangeList) string { return changesText(list.Changes, since, settings.now()) })
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := command.Flags()
	flags.StringVar(&since, "since", "24h", "how far to look back: 7d, 13:30 in UTC, or\n2026-11-03T13:30:00Z")
	flags.StringVar(&service, "service", "", "only of this service")
	flags.StringVar(&artifact, "artifact", "", "only of this artifact")
	placeholders(flags, map[string]string{"since": "TIME", "service": "NAME", "artifact": "NAME"})
	complete(command, "since", "1h", "24h", "7d")
	for _, flag := range []string{"service", "artifact"} {
		_ = command.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions)
	}
	return command
}

// lookedBack reads how far to look back, or since when. A time of day is the last one in UTC.
func lookedBack(flag, written string, now time.Time) (string, error) {
	if checkDuration(flag, written) == nil {
		return written, nil
	}
	at, err := timePast(flag, written, now)
	if err != nil {
		return "", wrongUsage("%s %q is no time to look back to; 24h, 13:30 (UTC) or 2026-11-03T13:30:00Z", flag, written)
	}
	return at.Format(time.RFC3339), nil
}

func changesText(all []changes.Change, since string, now time.Time) string {
	if len(all) == 0 {
		if checkDuration("", since) == nil {
			return sentence("no changes in the last %s", since)
		}
		return sentence("no changes since %s", since)
	}
	widest := 0
	for _, c := range all {
		widest = max(widest, len(incident.Clock(c.At, now)))
	}
	told := ""
	for _, c := range all {
		said := artifactOf(c) + ": " + versionsOf(c.From, c.To, c.Note) + suffix(", by ", c.By)
		if c.Source == changes.Detected {
			said += ", seen in the metrics"
		}
		told += whole(fmt.Sprintf("%-*s  ", widest, incident.Clock(c.At, now)), oneLine(said))
	}
	return told
}
