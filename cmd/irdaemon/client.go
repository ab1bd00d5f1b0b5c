package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/spf13/cobra"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/incident/text"
	"github.com/irdaemon/irdaemon/pkg/web/client"
)

const (
	defaultURL    = "http://127.0.0.1:9847"
	urlVariable   = "IRDAEMON_URL"
	clientTimeout = 30 * time.Second
)

// onCall is the group of these commands in the help.
const onCall = "oncall"

func onCallGroup() *cobra.Group {
	return &cobra.Group{ID: onCall, Title: "Commands of the on-call, which ask a running daemon:"}
}

// clientCommands are the on-call's commands, which ask a running daemon over its API.
func clientCommands() []*cobra.Command {
	return commandsOf(&clientSettings{now: time.Now})
}

func commandsOf(settings *clientSettings) []*cobra.Command {
	commands := []*cobra.Command{
		incidentsCommand(settings),
		ackCommand(settings), unackCommand(settings), evidenceCommand(settings), triageCommand(settings), noteCommand(settings), updateCommand(settings),
		mitigatedCommand(settings), severityCommand(settings), dismissCommand(settings), reopenCommand(settings),
		rollbackCommand(settings), approveCommand(settings), changeCommand(settings), changesCommand(settings),
		silenceCommand(settings), receiversCommand(settings), drillCommand(settings), backupCommand(settings),
	}
	for _, command := range commands {
		command.GroupID = onCall
		settings.addFlags(command)
	}
	return commands
}

// clientSettings are the flags that all of these commands take.
type clientSettings struct {
	url    string
	output string
	by     string // of commands that write
	credentials
	now      func() time.Time
	terminal func() bool // whether a person can be asked; nil: where standard input is a terminal
}

func (s *clientSettings) addFlags(command *cobra.Command) {
	flags := command.PersistentFlags()
	flags.StringVar(&s.url, "url", "", "where the daemon answers; default: $"+urlVariable+",\nor "+defaultURL)
	flags.StringVarP(&s.output, "output", "o", "text", "text or json")
	s.credentials.addFlags(flags)
	placeholders(flags, map[string]string{"url": "URL", "output": "FORMAT"})
	complete(command, "output", "text", "json")
}

// writes adds the flag of commands that write.
func (s *clientSettings) writes(command *cobra.Command) *cobra.Command {
	command.Flags().StringVar(&s.by, "by", "", "who does it; default: whose the credentials are, or $USER")
	placeholders(command.Flags(), map[string]string{"by": "NAME"})
	_ = command.RegisterFlagCompletionFunc("by", cobra.NoFileCompletions)
	return command
}

// dial gives a client of the daemon that the flags and variables name.
func (s *clientSettings) dial() (*client.Client, error) { return s.dialFor(clientTimeout) }

// dialFor gives a client whose requests may take so long; 0: as long as it takes.
func (s *clientSettings) dialFor(timeout time.Duration) (*client.Client, error) {
	if s.output != "text" && s.output != "json" {
		return nil, wrongUsage("--output %q is not known; text or json", s.output)
	}
	address, err := s.address()
	if err != nil {
		return nil, err
	}
	return s.client(address, timeout)
}

// who gives the name to send with a write: none where the credentials say it.
func (s *clientSettings) who() (string, error) {
	switch {
	case s.by != "":
		return s.by, nil
	case s.given():
		return "", nil
	}
	if user := os.Getenv("USER"); user != "" {
		return user, nil
	}
	return "", wrongUsage("who is doing this? give --by NAME, or set USER")
}

// print writes what was asked for, as JSON or in the words of text. Nothing in either steers a terminal.
func (s *clientSettings) print(out io.Writer, data any, said func() string) error {
	written := ""
	if s.output == "json" {
		var plain strings.Builder
		encoder := json.NewEncoder(&plain)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(data); err != nil {
			return err
		}
		written = escaped(plain.String())
	} else {
		written = text.Clean(said())
	}
	_, err := io.WriteString(out, written)
	return err
}

// escaped writes the characters of a JSON text that cannot be seen as \u and their number, which means the same: JSON lets
// them stand as they are, and a terminal would follow them.
func escaped(text string) string {
	var written strings.Builder
	for _, r := range text {
		if r == '\n' || unicode.IsPrint(r) {
			written.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&written, `\u%04x`, unit)
		}
	}
	return written.String()
}

// request asks the daemon about an incident, or for something to be done with it.
type request func(ctx context.Context, api *client.Client) (incident.View, error)

// ask checks the incident's name, asks the daemon and prints what it answered.
func ask(command *cobra.Command, settings *clientSettings, ref string, request request, said func(incident.View) string) error {
	if err := checkRef(ref); err != nil {
		return err
	}
	return askFor(command, settings, func(api *client.Client) (incident.View, error) {
		return request(command.Context(), api)
	}, said)
}

// onIncident is a command that does something with one incident, in somebody's name.
func (s *clientSettings) onIncident(command *cobra.Command, ref string, said func(incident.View) string,
	do func(ctx context.Context, api *client.Client, by string) (incident.View, error)) error {
	by, err := s.who()
	if err != nil {
		return err
	}
	return ask(command, s, ref, func(ctx context.Context, api *client.Client) (incident.View, error) {
		return do(ctx, api, by)
	}, said)
}

// askFor asks the daemon and prints what it answered.
func askFor[T any](command *cobra.Command, settings *clientSettings, request func(*client.Client) (T, error), said func(T) string) error {
	api, err := settings.dial()
	if err != nil {
		return err
	}
	answer, err := request(api)
	if err != nil {
		return settings.advise(err)
	}
	return settings.print(command.OutOrStdout(), answer, func() string { return said(answer) })
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
