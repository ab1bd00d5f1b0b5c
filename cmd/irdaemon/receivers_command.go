package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/irdaemon/irdaemon/pkg/incident/text"
	"github.com/irdaemon/irdaemon/pkg/web"
	"github.com/irdaemon/irdaemon/pkg/web/client"
)

func receiversCommand(settings *clientSettings) *cobra.Command {
	list := func(command *cobra.Command, _ []string) error { return listReceivers(command, settings) }
	command := &cobra.Command{
		Use:     "receivers",
		Aliases: []string{"receiver"},
		Short:   "List the ways to reach people, try one",
		Example: "  irdaemon receivers\n  irdaemon receivers test pagerduty-ml",
		Args:    arguments(cobra.NoArgs, "list or test NAME"),
		RunE:    list,
	}
	command.AddCommand(&cobra.Command{
		Use: "list", Short: "List the receivers, whom they call and how they do", RunE: list,
		Args: arguments(cobra.NoArgs, "no arguments"), ValidArgsFunction: cobra.NoFileCompletions,
	}, testReceiverCommand(settings))
	return command
}

func testReceiverCommand(settings *clientSettings) *cobra.Command {
	return settings.writes(&cobra.Command{
		Use: "test NAME", Short: "Send a test page through a receiver",
		Long: paragraphs("Send a test page through a receiver, as a real one would be sent: it rings.",
			"The exit code is 1 if the receiver did not take it. That a person saw it only a person can say."),
		Example: "  irdaemon receivers test pagerduty-ml",
		Args:    arguments(cobra.ExactArgs(1), "the name of a receiver"),
		RunE:    func(command *cobra.Command, args []string) error { return testReceiver(command, settings, args[0]) },

		ValidArgsFunction: settings.completeFirst(receiverNames),
	})
}

func listReceivers(command *cobra.Command, settings *clientSettings) error {
	return askFor(command, settings, func(api *client.Client) (web.ReceiverList, error) {
		all, err := api.Receivers(command.Context())
		return web.ReceiverList{Receivers: all}, err
	}, func(list web.ReceiverList) string { return receiversText(list.Receivers, settings.now()) })
}

func testReceiver(command *cobra.Command, settings *clientSettings, name string) error {
	by, err := settings.who()
	if err != nil {
		return err
	}
	var test web.ReceiverTest
	err = askFor(command, settings, func(api *client.Client) (web.ReceiverTest, error) {
		var err error
		test, err = api.TestReceiver(command.Context(), name, by)
		return test, err
	}, testText)
	if err == nil && !test.Delivered {
		return &advised{text: cut(oneLine(text.Clean(notDelivered(test))), longestError), cause: errNotDelivered}
	}
	return err
}

var errNotDelivered = errors.New("the test page was not delivered")

// testText tells of a page that was delivered; of another one the error does.
func testText(test web.ReceiverTest) string {
	if !test.Delivered {
		return ""
	}
	took := time.Duration(test.TookSeconds * float64(time.Second)).Round(time.Millisecond)
	told := sentence("%s took a test page, in %s; did it reach a person?", test.Receiver, took)
	if test.Detail != "" {
		told += sentence("but: %s", test.Detail)
	}
	return told
}

func notDelivered(test web.ReceiverTest) string {
	why := test.Detail
	if why == "" && test.Status != 0 {
		why = fmt.Sprintf("status %d", test.Status)
	}
	return strings.TrimSuffix(fmt.Sprintf("%s did not take the test page: %s", test.Receiver, why), ": ")
}

func receiversText(all []web.ReceiverStatus, now time.Time) string {
	if len(all) == 0 {
		return "no receivers: nobody is called; the settings' receivers name some\n"
	}
	var rows [][]string
	troubles := ""
	for _, r := range all {
		calls := strings.Join(r.Roles, ", ")
		if calls == "" {
			calls = "-"
		}
		rows = append(rows, []string{r.Name, r.Kind, receiverState(r, now), calls})
		troubles += troubleText(r)
	}
	return table([]column{{"NAME", 20}, {"KIND", 12}, {"STATE", 38}, {"CALLS", 0}}, rows) + troubles
}

func receiverState(r web.ReceiverStatus, now time.Time) string {
	switch {
	case r.FailingSince != nil:
		return "FAILING since " + text.When(r.FailingSince, now)
	case r.LastDelivered != nil:
		return "delivered " + text.When(r.LastDelivered, now)
	}
	return "nothing sent yet"
}

// troubleText says what is wrong with a receiver, below the table: it is too long for a column.
func troubleText(r web.ReceiverStatus) string {
	var troubles []string
	if r.FailingSince != nil && r.Error != "" {
		troubles = append(troubles, r.Error)
	}
	if r.Waiting > 0 {
		troubles = append(troubles, fmt.Sprintf("%d waiting", r.Waiting))
	}
	if troubles == nil {
		return ""
	}
	return sentence("%s: %s", r.Name, strings.Join(troubles, "; "))
}
