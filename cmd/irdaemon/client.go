package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/incident/text"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/web/client"
)

const (
	defaultURL    = "http://127.0.0.1:9847"
	urlVariable   = "IRDAEMON_URL"
	clientTimeout = 30 * time.Second
	maxNoteBytes  = 10_000
	maxReadBytes  = 16 << 20 // of standard input
)

// usageError is an error of how the program was called (exit code 2), not of what it found (exit code 1).
type usageError struct{ cause error }

func (e *usageError) Error() string { return e.cause.Error() }
func (e *usageError) Unwrap() error { return e.cause }

func wrongUsage(format string, arguments ...any) error {
	return &usageError{cause: fmt.Errorf(format, arguments...)}
}

// clientCommands are the on-call's commands, which ask a running daemon over its API.
func clientCommands() []*cobra.Command {
	return commandsOf(&clientSettings{now: time.Now})
}

func commandsOf(settings *clientSettings) []*cobra.Command {
	commands := []*cobra.Command{incidentsCommand(settings), ackCommand(settings), noteCommand(settings)}
	for _, command := range commands {
		settings.addFlags(command)
	}
	return commands
}

// clientSettings are the flags that all of these commands take.
type clientSettings struct {
	url    string
	output string
	now    func() time.Time
}

func (s *clientSettings) addFlags(command *cobra.Command) {
	address := os.Getenv(urlVariable)
	if address == "" {
		address = defaultURL
	}
	flags := command.PersistentFlags()
	flags.StringVar(&s.url, "url", address, "where the daemon answers; default from "+urlVariable)
	flags.StringVarP(&s.output, "output", "o", "text", "text or json")
	_ = command.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
}

// dial gives a client of the daemon that the flags name.
func (s *clientSettings) dial() (*client.Client, error) {
	if s.output != "text" && s.output != "json" {
		return nil, wrongUsage("--output %q is not known; text or json", s.output)
	}
	api, err := client.New(s.url, &http.Client{Timeout: clientTimeout})
	if err != nil {
		return nil, wrongUsage("--url or %s: %w", urlVariable, err)
	}
	return api, nil
}

// print writes what was asked for, as JSON or in the words of text.
func (s *clientSettings) print(out io.Writer, data any, said func() string) error {
	if s.output == "json" {
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(data)
	}
	_, err := io.WriteString(out, said())
	return err
}

// advise adds to an error what can be done about it.
func advise(err error) error {
	var unreachable *client.Unreachable
	if errors.As(err, &unreachable) {
		return fmt.Errorf("%w; is it running? set --url or %s", err, urlVariable)
	}
	return err
}

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
	}
	show := &cobra.Command{
		Use: "show ID", Short: "Show an incident: what is wrong, who has it, what to do, what happened",
		Args: arguments(cobra.ExactArgs(1), "one incident: an id or a number"),
		RunE: func(command *cobra.Command, args []string) error { return showIncident(command, settings, args[0]) },
	}
	filter.add(command)
	filter.add(listCommand)
	command.AddCommand(listCommand, show)
	return command
}

// listFlags select incidents.
type listFlags struct {
	state, runbook, severity, after string
	limit                           int
}

// listStates and listSeverities are what --state and --severity take.
var (
	listStates     = []string{"open", "all", "triggered", "acknowledged", "mitigating", "verifying", "resolved", "closed", "dismissed"}
	listSeverities = []string{"sev1", "sev2", "sev3", "sev4"}
)

const maxListed = 200

func (f *listFlags) add(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&f.state, "state", "open", "a state, open or all")
	flags.StringVar(&f.runbook, "runbook", "", "only of this runbook")
	flags.StringVar(&f.severity, "severity", "", "only of this severity, such as sev1")
	flags.StringVar(&f.after, "after", "", "go on where the page before ended")
	flags.IntVar(&f.limit, "limit", 50, fmt.Sprintf("at most so many, up to %d", maxListed))
	_ = command.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(listStates, cobra.ShellCompDirectiveNoFileComp))
	_ = command.RegisterFlagCompletionFunc("severity", cobra.FixedCompletions(listSeverities, cobra.ShellCompDirectiveNoFileComp))
}

// check finds what the daemon would refuse, so that it is told as wrong usage, by the flag's name.
func (f *listFlags) check() error {
	switch {
	case !slices.Contains(listStates, f.state):
		return wrongUsage("--state %q is not known; %s", f.state, strings.Join(listStates, ", "))
	case f.severity != "" && !slices.Contains(listSeverities, f.severity):
		return wrongUsage("--severity %q is not known; %s", f.severity, strings.Join(listSeverities, ", "))
	case f.limit < 1 || f.limit > maxListed:
		return wrongUsage("--limit %d is not possible; 1 to %d", f.limit, maxListed)
	}
	return nil
}

// arguments makes cobra's check of the arguments say what is expected.
func arguments(check cobra.PositionalArgs, expected string) cobra.PositionalArgs {
	return func(command *cobra.Command, args []string) error {
		if err := check(command, args); err != nil {
			return wrongUsage("%s takes %s; got %q", command.CommandPath(), expected, args)
		}
		return nil
	}
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
		State: flags.state, Runbook: flags.runbook, Severity: runbook.Severity(flags.severity), After: flags.after, Limit: flags.limit,
	})
	if err != nil {
		return advise(err)
	}
	if page.Next != "" && settings.output == "text" {
		defer fmt.Fprintf(command.ErrOrStderr(), "there are more: --after %s\n", page.Next)
	}
	return settings.print(command.OutOrStdout(), page, func() string {
		if len(page.Incidents) == 0 {
			return nothingListed(flags)
		}
		return text.Table(page.Incidents, settings.now())
	})
}

// nothingListed says what there is none of, so that an empty list is not taken for a broken one.
func nothingListed(flags *listFlags) string {
	said := "no incidents"
	if flags.state != "all" {
		said = "no " + flags.state + " incidents"
	}
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

func ackCommand(settings *clientSettings) *cobra.Command {
	var by string
	command := &cobra.Command{
		Use: "ack ID", Short: "Take an incident: nobody else is called for it any more",
		Example: "  irdaemon ack 42\n  irdaemon ack 42 --by alice",
		Args:    arguments(cobra.ExactArgs(1), "one incident: an id or a number"),
		RunE: func(command *cobra.Command, args []string) error {
			name, err := who(by)
			if err != nil {
				return err
			}
			return ask(command, settings, args[0], func(ctx context.Context, api *client.Client) (incident.View, error) {
				return api.Acknowledge(ctx, args[0], name)
			}, func(view incident.View) string { return acknowledgedText(view, settings) })
		},
	}
	command.Flags().StringVar(&by, "by", "", "who takes it; default: $USER")
	return command
}

func noteCommand(settings *clientSettings) *cobra.Command {
	var by string
	command := &cobra.Command{
		Use: "note ID TEXT…", Short: "Add a note to an incident's timeline",
		Long:    "Add a note to an incident's timeline. A single - reads the text from standard input.",
		Example: "  irdaemon note 42 the provider sees it too\n  tail -n 20 deploy.log | irdaemon note 42 -",
		Args:    arguments(cobra.MinimumNArgs(2), "an incident and a text, or - for standard input"),
		RunE: func(command *cobra.Command, args []string) error {
			name, err := who(by)
			if err != nil {
				return err
			}
			note, err := noteText(command.InOrStdin(), args[1:])
			if err != nil {
				return err
			}
			return ask(command, settings, args[0], func(ctx context.Context, api *client.Client) (incident.View, error) {
				return api.Note(ctx, args[0], name, note)
			}, func(view incident.View) string {
				return fmt.Sprintf("noted on #%d: %s\n", view.Number, text.Clean(view.Title))
			})
		},
	}
	command.Flags().StringVar(&by, "by", "", "who notes it; default: $USER")
	return command
}

// ask checks the incident's name, asks the daemon and prints what it answered.
func ask(command *cobra.Command, settings *clientSettings, ref string,
	request func(context.Context, *client.Client) (incident.View, error), said func(incident.View) string) error {
	if err := checkRef(ref); err != nil {
		return err
	}
	api, err := settings.dial()
	if err != nil {
		return err
	}
	view, err := request(command.Context(), api)
	if err != nil {
		return advise(err)
	}
	return settings.print(command.OutOrStdout(), view, func() string { return said(view) })
}

// who gives the name under which something is done.
func who(by string) (string, error) {
	if by == "" {
		by = os.Getenv("USER")
	}
	if by == "" {
		return "", wrongUsage("who is doing this? give --by NAME, or set USER")
	}
	return by, nil
}

// noteText joins the arguments to a text, or reads standard input for a single -.
func noteText(in io.Reader, args []string) (string, error) {
	if len(args) == 1 && args[0] == "-" {
		return readNote(in)
	}
	note := strings.TrimSpace(plain(strings.Join(args, " ")))
	if note == "" {
		return "", wrongUsage("the note is empty; give a text, or - and a text on standard input")
	}
	if len(note) > maxNoteBytes {
		return "", wrongUsage("the note is longer than %d bytes; put the rest where a link can name it", maxNoteBytes)
	}
	return note, nil
}

// readNote reads a note from what another command wrote. Of more than a note can hold the end is kept, for it is what a
// log tells last that matters.
func readNote(in io.Reader) (string, error) {
	read, err := io.ReadAll(io.LimitReader(in, maxReadBytes))
	if err != nil {
		return "", fmt.Errorf("note from standard input: %w", err)
	}
	note := strings.TrimSpace(plain(strings.ToValidUTF8(string(read), "\uFFFD")))
	if note == "" {
		return "", wrongUsage("the note is empty; give a text, or - and a text on standard input")
	}
	if len(note) <= maxNoteBytes {
		return note, nil
	}
	const room = 64 // for the line that tells it
	left := len(note) - (maxNoteBytes - room)
	for left < len(note) && !utf8.RuneStart(note[left]) {
		left++
	}
	return fmt.Sprintf("(cut: the first %d bytes are left out)\n%s", left, strings.TrimSpace(note[left:])), nil
}

// escapes are the sequences by which a program steers a terminal: colours, the cursor, its title.
var escapes = regexp.MustCompile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|[ -/]*[0-~])")

// plain leaves out whatever would steer a terminal; line feeds and tabs stay.
func plain(said string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, escapes.ReplaceAllString(said, ""))
}
