package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/incident/text"
	"github.com/irdaemon/irdaemon/pkg/web/client"
)

func ackCommand(settings *clientSettings) *cobra.Command {
	return settings.writes(&cobra.Command{
		Use: "ack ID…", Short: "Take an incident: nobody else is called for it any more",
		Long: paragraphs("Take incidents: nobody else is called for them any more.",
			"Whoever had one until then hands it over. With several, those that can be taken are, and the exit code is 1 if any could not."),
		Example: "  irdaemon ack 42\n  irdaemon ack 42 43 --by alice",
		Args:    arguments(cobra.MinimumNArgs(1), "incidents: their ids or numbers"),
		RunE: func(command *cobra.Command, args []string) error {
			for _, ref := range args {
				if err := checkRef(ref); err != nil {
					return err
				}
			}
			var failed []error
			for _, ref := range args {
				err := settings.onIncident(command, ref, func(view incident.View) string {
					return acknowledgedText(view, settings.now(), len(args) == 1)
				}, func(ctx context.Context, api *client.Client, by string) (incident.View, error) {
					return api.Acknowledge(ctx, ref, by)
				})
				failed = append(failed, err)
				if hopeless(err) {
					break
				}
			}
			return errors.Join(failed...)
		},
		ValidArgsFunction: settings.completeEach(openIncident),
	})
}

func evidenceCommand(settings *clientSettings) *cobra.Command {
	return settings.writes(&cobra.Command{
		Use: "evidence ID", Short: "Look again at what the checklist is to be decided by, and show it",
		Example: "  irdaemon evidence 42",
		Args:    arguments(cobra.ExactArgs(1), "one incident: an id or a number"),
		RunE: func(command *cobra.Command, args []string) error {
			return settings.onIncident(command, args[0], func(view incident.View) string { return text.Checklist(view, settings.now()) },
				func(ctx context.Context, api *client.Client, _ string) (incident.View, error) {
					return api.GatherEvidence(ctx, args[0])
				})
		},
		ValidArgsFunction: settings.completeFirst(openIncident),
	})
}

func unackCommand(settings *clientSettings) *cobra.Command {
	return settings.writes(&cobra.Command{
		Use: "unack ID", Short: "Give an incident back: its owner is called again",
		Example: "  irdaemon unack 42",
		Args:    arguments(cobra.ExactArgs(1), "one incident: an id or a number"),
		RunE: func(command *cobra.Command, args []string) error {
			return settings.onIncident(command, args[0], unacknowledgedText,
				func(ctx context.Context, api *client.Client, by string) (incident.View, error) {
					return api.Unacknowledge(ctx, args[0], by)
				})
		},
		ValidArgsFunction: settings.completeFirst(openIncident),
	})
}

func noteCommand(settings *clientSettings) *cobra.Command {
	return settings.writes(&cobra.Command{
		Use: "note ID TEXT…", Short: "Add a note to an incident's timeline",
		Long: paragraphs("Add a note to an incident's timeline, whatever its state.",
			"A single - reads the text from standard input; of more than 10 kB the end is kept."),
		Example: "  irdaemon note 42 the provider sees it too\n  tail -n 20 deploy.log | irdaemon note 42 -",
		Args:    arguments(cobra.MinimumNArgs(2), "an incident and a text, or - for standard input"),
		RunE: func(command *cobra.Command, args []string) error {
			note, err := said{what: "note", endMatters: true}.read(command.InOrStdin(), args[1:])
			if err != nil {
				return err
			}
			return settings.onIncident(command, args[0], func(view incident.View) string {
				return sentence("noted on %s: %s", named(view), view.Title)
			}, func(ctx context.Context, api *client.Client, by string) (incident.View, error) {
				return api.Note(ctx, args[0], by, note)
			})
		},
		ValidArgsFunction: settings.completeFirst(anyIncident),
	})
}

func triageCommand(settings *clientSettings) *cobra.Command {
	return settings.writes(&cobra.Command{
		Use: "triage ID N ANSWER [TEXT…]", Short: "Answer an item of an incident's checklist",
		Long: paragraphs("Answer item N of an incident's checklist; the last answer counts.",
			`An item that is to be decided takes one of its words, or "can't tell"; any other takes any word, such as done.`+
				" TEXT says what was seen; a single - reads it from standard input."),
		Example: "  irdaemon triage 42 1 done\n  irdaemon triage 42 2 yes paid users in English, about 870 chats",
		Args:    arguments(cobra.MinimumNArgs(3), "an incident, the item's number and an answer"),
		RunE: func(command *cobra.Command, args []string) error {
			n, err := strconv.Atoi(args[1])
			if err != nil || n < 1 {
				return wrongUsage("%q is not an item's number; irdaemon incidents show numbers them from 1", args[1])
			}
			answer := strings.TrimSpace(plain(args[2]))
			if answer == "" {
				return wrongUsage(`the answer is empty; one of the item's words, such as yes, or "can't tell"`)
			}
			seen := ""
			if len(args) > 3 {
				if seen, err = (said{what: "text"}).read(command.InOrStdin(), args[3:]); err != nil {
					return err
				}
			}
			return settings.onIncident(command, args[0], func(view incident.View) string { return answeredText(view, n) },
				func(ctx context.Context, api *client.Client, by string) (incident.View, error) {
					return api.Answer(ctx, args[0], by, n, answer, seen)
				})
		},
		ValidArgsFunction: settings.completeTriage,
	})
}

func updateCommand(settings *clientSettings) *cobra.Command {
	var audience, next string
	command := &cobra.Command{
		Use: "update ID TEXT…", Short: "Tell those who wait for news, and when they hear next",
		Long: paragraphs("Post an update for those who wait for news.",
			"Without --next the next one is due after the time that the severity asks for. An update that is overdue calls. "+
				"A single - reads the text from standard input."),
		Example: "  irdaemon update 42 the prompt is rolled back, refusals are falling --next 30m\n" +
			"  irdaemon update 42 --audience customer --next 15:15 We see fewer wrong refusals.",
		Args: arguments(cobra.MinimumNArgs(2), "an incident and a text, or - for standard input"),
		RunE: func(command *cobra.Command, args []string) error {
			if audience != incident.Internal && audience != incident.Customer {
				return wrongUsage("--audience %q is not known; %s or %s", audience, incident.Internal, incident.Customer)
			}
			dueIn, err := timeAhead("--next", next, settings.now())
			if err != nil {
				return err
			}
			told, err := said{what: "update"}.read(command.InOrStdin(), args[1:])
			if err != nil {
				return err
			}
			return settings.onIncident(command, args[0], func(view incident.View) string { return updatedText(view, audience, settings.now()) },
				func(ctx context.Context, api *client.Client, by string) (incident.View, error) {
					return api.Update(ctx, args[0], by, audience, told, dueIn)
				})
		},
		ValidArgsFunction: settings.completeFirst(anyIncident),
	}
	flags := command.Flags()
	flags.StringVar(&audience, "audience", incident.Internal, "who is told, internal or customer")
	flags.StringVar(&next, "next", "", "when the next one is due: 30m, 15:15 in UTC, or\n2026-11-03T15:15:00Z")
	placeholders(flags, map[string]string{"audience": "WHO", "next": "TIME"})
	complete(command, "audience", incident.Internal, incident.Customer)
	complete(command, "next", "30m", "1h", "2h")
	return settings.writes(command)
}

// named is how people name an incident: #42, or the id of what has no number.
func named(view incident.View) string {
	if view.Number > 0 {
		return fmt.Sprintf("#%d", view.Number)
	}
	return view.ID
}
