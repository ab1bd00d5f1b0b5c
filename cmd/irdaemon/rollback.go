package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/incident/text"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/web"
	"github.com/irdaemon/irdaemon/pkg/web/client"
)

// rollbackFlags are those of rollback.
type rollbackFlags struct {
	mitigate, to, at string
	byHand, yes      bool
}

func rollbackCommand(settings *clientSettings) *cobra.Command {
	flags := &rollbackFlags{}
	command := &cobra.Command{
		Use: "rollback ID STEP", Short: "Have a step of the rollback stack done, or say that you did it",
		Long: paragraphs("Show what the daemon would send for a step of the rollback stack, ask, and have it sent. STEP is its name, or its artifact where no other step has that; --mitigate takes a mitigation of the runbook instead.",
			"Without --yes it asks on a terminal. Nothing but what was shown is sent: should the request or the version that runs change meanwhile, it is refused. Whoever asks for it has the incident.",
			"With --by-hand nothing is sent: it is recorded that you did it."),
		Example: "  irdaemon rollback 42 prompt\n  irdaemon rollback 42 'support prompt' --to prompt-v5 --yes\n" +
			"  irdaemon rollback 42 retrieval_index --to kb-1 --by-hand --at 14:29\n" +
			"  irdaemon rollback 42 --mitigate 'Route paid traffic to the approved fallback model'",
		Args: arguments(cobra.RangeArgs(1, 2), "an incident and a step of its rollback stack, or --mitigate TITLE"),
		RunE: func(command *cobra.Command, args []string) error {
			asked, err := flags.asked(args, settings)
			if err != nil {
				return err
			}
			if asked.ByHand {
				return settings.onIncident(command, args[0], func(view incident.View) string { return mitigatedText(view, settings.now()) },
					func(ctx context.Context, api *client.Client, by string) (incident.View, error) {
						asked.By = by
						return api.RollBack(ctx, args[0], asked)
					})
			}
			return settings.rollBack(command, args[0], asked, flags.yes)
		},
		ValidArgsFunction: settings.completeRollback,
	}
	set := command.Flags()
	set.StringVar(&flags.to, "to", "", "the version to go back to; default: the one before\nthe last change")
	set.StringVar(&flags.mitigate, "mitigate", "", "a mitigation of the runbook, in place of a step")
	set.BoolVar(&flags.byHand, "by-hand", false, "you did it: nothing is sent")
	set.StringVar(&flags.at, "at", "", "when you did it: 14:18 in UTC, or\n2026-11-03T14:18:00Z; default: now")
	set.BoolVar(&flags.yes, "yes", false, "send it without asking")
	placeholders(set, map[string]string{"to": "VERSION", "mitigate": "TITLE", "at": "TIME"})
	for _, flag := range []string{"to", "mitigate", "at"} {
		_ = command.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions)
	}
	return settings.writes(command)
}

// asked is what the flags and arguments ask for.
func (f *rollbackFlags) asked(args []string, settings *clientSettings) (client.Rollback, error) {
	asked := client.Rollback{Mitigate: f.mitigate, To: f.to, ByHand: f.byHand}
	if len(args) == 2 {
		asked.Step = args[1]
	}
	switch {
	case (asked.Step == "") == (asked.Mitigate == ""):
		return asked, wrongUsage("give either a step of the rollback stack or --mitigate TITLE; irdaemon incidents show %s has both", args[0])
	case f.mitigate != "" && f.to != "":
		return asked, wrongUsage("--to is the version of a step; a mitigation has none")
	case f.at != "" && !f.byHand:
		return asked, wrongUsage("--at is when you did it; it goes with --by-hand")
	case f.byHand && f.yes:
		return asked, wrongUsage("--yes sends it; with --by-hand nothing is sent")
	}
	var err error
	asked.At, err = timePast("--at", f.at, settings.now())
	return asked, err
}

// rollBack shows what would be sent, asks, and asks the daemon for just that.
func (s *clientSettings) rollBack(command *cobra.Command, ref string, asked client.Rollback, yes bool) error {
	return s.considered(command, ref, yes, "Send it?", func(ctx context.Context, api *client.Client, by string) (web.Prepared, sending, error) {
		prepared, err := preparedOf(ctx, api, ref, asked)
		if err == nil && !prepared.HasAction() {
			err = byHandAlone(ref, asked, prepared)
		}
		return prepared, func() (incident.View, error) {
			asked.By, asked.Digest = by, prepared.Digest
			return api.RollBack(ctx, ref, asked)
		}, err
	})
}

func preparedOf(ctx context.Context, api *client.Client, ref string, asked client.Rollback) (web.Prepared, error) {
	if asked.Mitigate != "" {
		return api.PreparedMitigation(ctx, ref, asked.Mitigate)
	}
	return api.Prepared(ctx, ref, asked.Step, asked.To)
}

// byHandAlone refuses what the daemon can't do. To take it down as done because somebody said --yes would be a lie.
func byHandAlone(ref string, asked client.Rollback, p web.Prepared) error {
	step := "--mitigate TITLE"
	if asked.Mitigate == "" {
		step = fmt.Sprintf("%q", asked.Step)
	}
	return fmt.Errorf("the runbook has no action for %s: do it as irdaemon incidents show %s says, then: irdaemon rollback %s %s --by-hand",
		p.Title, ref, ref, step)
}

func approveCommand(settings *clientSettings) *cobra.Command {
	var yes bool
	command := &cobra.Command{
		Use: "approve ID [ACTION]", Short: "Approve, as a second person, what another one asked for",
		Long: paragraphs("Show what the daemon would send for an action that waits for a second person, ask, and approve it; then it is sent.",
			"ACTION is its number, and may be left out where one waits. Both people have to prove who they are, with tokens of their own or through a proxy."),
		Example: "  irdaemon approve 42\n  irdaemon approve 42 1 --yes",
		Args:    arguments(cobra.RangeArgs(1, 2), "an incident, and an action that waits"),
		RunE: func(command *cobra.Command, args []string) error {
			ref, id := args[0], strings.Join(args[1:], "")
			return settings.considered(command, ref, yes, "Approve it?", func(ctx context.Context, api *client.Client, by string) (web.Prepared, sending, error) {
				view, err := api.Show(ctx, ref)
				if err != nil {
					return web.Prepared{}, nil, err
				}
				action, err := waiting(view, id)
				if err != nil {
					return web.Prepared{}, nil, err
				}
				prepared, err := preparedOf(ctx, api, ref, requestOf(action))
				return prepared, func() (incident.View, error) {
					return api.Approve(ctx, ref, by, action.ID, prepared.Digest)
				}, err
			})
		},
		ValidArgsFunction: settings.completeApprove,
	}
	command.Flags().BoolVar(&yes, "yes", false, "approve it without asking")
	return settings.writes(command)
}

// waiting is the action that is meant: the one with the id, or the only one that was asked for and not done.
func waiting(view incident.View, id string) (incident.ActionView, error) {
	for _, a := range view.Actions {
		if id == a.ID || id == "" && a.State == "requested" {
			return a, nil
		}
	}
	if id == "" {
		return incident.ActionView{}, fmt.Errorf("nothing waits for approval on %s", named(view))
	}
	return incident.ActionView{}, fmt.Errorf("%s has no action %s", named(view), id)
}

func requestOf(a incident.ActionView) client.Rollback {
	if a.Step == "" {
		return client.Rollback{Mitigate: a.Title}
	}
	return client.Rollback{Step: a.Step, To: a.To}
}

// sending does what was shown.
type sending func() (incident.View, error)

// considered shows what would be done, asks unless that is waived, and does it.
func (s *clientSettings) considered(command *cobra.Command, ref string, yes bool, question string,
	look func(ctx context.Context, api *client.Client, by string) (web.Prepared, sending, error)) error {
	if err := checkRef(ref); err != nil {
		return err
	}
	if !yes && !s.asksOn(command.InOrStdin()) {
		return wrongUsage("standard input is no terminal, on which this could be asked; --yes does it without")
	}
	by, err := s.who()
	if err != nil {
		return err
	}
	api, err := s.dial()
	if err != nil {
		return err
	}
	prepared, send, err := look(command.Context(), api, by)
	if err != nil {
		return s.advise(err)
	}
	if err := s.show(command, prepared, yes); err != nil {
		return err
	}
	if !yes && !confirmed(command, question) {
		return errors.New("nothing was done")
	}
	view, err := send()
	if err != nil {
		return s.advise(err)
	}
	return s.print(command.OutOrStdout(), view, func() string { return askedText(view, prepared) })
}

// show shows what would be done. JSON is for a program, so that a person who is asked beside it is shown it elsewhere.
func (s *clientSettings) show(command *cobra.Command, p web.Prepared, yes bool) error {
	out := command.OutOrStdout()
	switch {
	case s.output == "json" && yes:
		return nil
	case s.output == "json":
		out = command.ErrOrStderr()
	}
	_, err := io.WriteString(out, preparedText(p))
	return err
}

// asksOn tells whether a person can be asked.
func (s *clientSettings) asksOn(in io.Reader) bool {
	if s.terminal != nil {
		return s.terminal()
	}
	file, isFile := in.(*os.File)
	return isFile && term.IsTerminal(int(file.Fd()))
}

// confirmed asks on the terminal. Anything but a yes is a no.
func confirmed(command *cobra.Command, question string) bool {
	fmt.Fprintf(command.ErrOrStderr(), "%s [y/N] ", question)
	answer, _ := bufio.NewReader(command.InOrStdin()).ReadString('\n') // a broken one is no yes
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true
	}
	return false
}

// preparedText is what would be done, for the person who decides: nothing of it is left out.
func preparedText(p web.Prepared) string {
	told := whole("", oneLine(p.Title+suffix(": ", versionsOf(p.From, p.To, "")))) + "\n" + whole("  ", p.Request) + "\n"
	fact := func(label, said string) { told += whole(fmt.Sprintf("%-10s", label), said) }
	if p.Observed != "" {
		fact("set now", p.Observed)
	}
	if p.Already {
		fact("", "that is what it would be set to: nothing needs to be sent")
	}
	if p.Touches == nil {
		fact("touches", "a share of the traffic that is not known")
	} else {
		fact("touches", fmt.Sprintf("%.3g%% of the traffic", *p.Touches*100))
	}
	if p.Approval == runbook.ApprovalTwoPerson {
		fact("approval", "two people: one asks for it, another one approves it within 15 min")
	}
	for _, warning := range p.Warnings {
		fact("WARNING", oneLine(warning))
	}
	return told + "\n"
}

// whole writes a text that others wrote after a head, every character of it, in lines that fit. What goes on is indented
// as far as the head is wide, and further where it is the same line.
func whole(head, written string) string {
	var told strings.Builder
	below := strings.Repeat(" ", utf8.RuneCountInString(head))
	for line := range strings.Lines(text.Clean(strings.ReplaceAll(written, "\t", "  "))) {
		line = strings.TrimRight(line, "\n")
		for {
			part := fitting(line, text.Width-utf8.RuneCountInString(head))
			told.WriteString(strings.TrimRight(head+part, " ") + "\n")
			if line = line[len(part):]; line == "" {
				break
			}
			head = below + "    "
		}
		head = below
	}
	return told.String()
}

// fitting is the beginning of a line that fits, up to the end of a word where there is one in the second half.
func fitting(line string, room int) string {
	runes := []rune(line)
	if len(runes) <= room {
		return line
	}
	part := string(runes[:room])
	if end := strings.LastIndex(part, " "); end > len(part)/2 {
		return part[:end+1]
	}
	return part
}

// askedText tells what became of it so far.
func askedText(view incident.View, p web.Prepared) string {
	if len(view.Actions) == 0 {
		return sentence("%s is %s: %s", named(view), view.State, view.Title)
	}
	a := view.Actions[len(view.Actions)-1]
	told := sentence("%s, action %s, %s: %s", named(view), a.ID, a.Title, a.State+suffix(", ", a.Why)+suffix(", approved by ", strings.Join(a.Approvers, ", ")))
	if a.Cause != "" {
		told += whole("  ", oneLine(a.Cause))
	}
	switch {
	case a.State == "requested" && p.Approval == runbook.ApprovalTwoPerson && len(a.Approvers) == 0:
		told += sentence("somebody else approves it, within 15 min: irdaemon approve %s %s", view.Ref(), a.ID)
	case a.State == "failed":
	default:
		told += sentence("irdaemon incidents show %s tells what comes of it", view.Ref())
	}
	return told
}
