package main

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/incident/text"
	"github.com/irdaemon/irdaemon/pkg/web/client"
)

// completionTimeout is how long a shell waits for the daemon when a person presses the tab key.
const completionTimeout = 2 * time.Second

// candidates asks the daemon what could stand somewhere on the command line.
type candidates func(ctx context.Context, api *client.Client) ([]candidate, error)

// candidate is what could stand there, and what it is.
type candidate struct{ word, about string }

// shellWord is what every shell takes as it stands. Nothing else is offered: names come from the daemon, and a shell runs
// what is on its command line.
var shellWord = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.:/=-]*$`)

// complete offers fixed words for a flag.
func complete(command *cobra.Command, flag string, words ...string) {
	_ = command.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

// completions offers what the daemon knows. Where it does not answer in time nothing is offered, and nothing said: the
// person is in the middle of a line.
func (s *clientSettings) completions(of candidates) cobra.CompletionFunc {
	return func(command *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return s.offer(command, of), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeFirst offers what the daemon knows for the first argument.
func (s *clientSettings) completeFirst(of candidates) cobra.CompletionFunc {
	return func(command *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return s.offer(command, of), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeEach offers what the daemon knows for every argument, but for those that stand there already.
func (s *clientSettings) completeEach(of candidates) cobra.CompletionFunc {
	return func(command *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return s.offer(command, of, args...), cobra.ShellCompDirectiveNoFileComp
	}
}

// offer asks the daemon, and leaves out what is there already and what a shell would not take as it stands.
func (s *clientSettings) offer(command *cobra.Command, of candidates, there ...string) []cobra.Completion {
	api, err := s.dialFor(completionTimeout)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(command.Context(), completionTimeout)
	defer cancel()
	found, err := of(ctx, api)
	if err != nil {
		return nil
	}
	var offered []cobra.Completion
	for _, c := range found {
		if shellWord.MatchString(c.word) && !slices.Contains(there, c.word) {
			offered = append(offered, cobra.CompletionWithDesc(c.word, cut(oneLine(text.Clean(c.about)), text.Width)))
		}
	}
	return offered
}

// completeSeverity completes severity ID SEVERITY.
func (s *clientSettings) completeSeverity(command *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return s.offer(command, openIncident), cobra.ShellCompDirectiveNoFileComp
	case 1:
		return severityNames(), cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// completeTriage completes triage ID N ANSWER.
func (s *clientSettings) completeTriage(command *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return s.offer(command, anyIncident), cobra.ShellCompDirectiveNoFileComp
	case 1:
		return s.offer(command, itemsOf(args[0])), cobra.ShellCompDirectiveNoFileComp
	case 2:
		return s.offer(command, answersTo(args[0], args[1])), cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// completeRollback completes rollback ID STEP.
func (s *clientSettings) completeRollback(command *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return s.offer(command, openIncident), cobra.ShellCompDirectiveNoFileComp
	case 1:
		return s.offer(command, stepsOf(args[0])), cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// completeApprove completes approve ID ACTION.
func (s *clientSettings) completeApprove(command *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return s.offer(command, openIncident), cobra.ShellCompDirectiveNoFileComp
	case 1:
		return s.offer(command, actionsOf(args[0])), cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// completeGroup completes --group of a command whose first argument is a runbook.
func (s *clientSettings) completeGroup(command *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return s.offer(command, groupsOf(args[0])), cobra.ShellCompDirectiveNoFileComp
}

// mostOffered is how many incidents are offered, the newest.
const mostOffered = 50

func openIncident(ctx context.Context, api *client.Client) ([]candidate, error) {
	return incidentsIn(ctx, api, "open")
}

func anyIncident(ctx context.Context, api *client.Client) ([]candidate, error) {
	return incidentsIn(ctx, api, "")
}

func endedIncident(ctx context.Context, api *client.Client) ([]candidate, error) {
	return incidentsIn(ctx, api, "", incident.ResolvedState, incident.DismissedState)
}

// incidentsIn offers incidents by number, of some states or of every one.
func incidentsIn(ctx context.Context, api *client.Client, filter string, states ...incident.State) ([]candidate, error) {
	page, err := api.List(ctx, incident.Filter{State: filter, Limit: mostOffered})
	if err != nil {
		return nil, err
	}
	var found []candidate
	for _, view := range page.Incidents {
		if len(states) == 0 || slices.Contains(states, view.State) {
			found = append(found, candidate{view.Ref(), string(view.Severity) + " " + string(view.State) + ": " + view.Title})
		}
	}
	return found, nil
}

func itemsOf(ref string) candidates {
	return func(ctx context.Context, api *client.Client) ([]candidate, error) {
		view, err := api.Show(ctx, ref)
		if err != nil {
			return nil, err
		}
		var found []candidate
		for _, item := range view.Triage {
			found = append(found, candidate{strconv.Itoa(item.N), item.Check})
		}
		return found, nil
	}
}

func answersTo(ref, n string) candidates {
	return func(ctx context.Context, api *client.Client) ([]candidate, error) {
		view, err := api.Show(ctx, ref)
		if err != nil {
			return nil, err
		}
		for _, item := range view.Triage {
			switch {
			case strconv.Itoa(item.N) != n:
			case len(item.Decide) == 0:
				return []candidate{{"done", ""}}, nil
			default:
				var found []candidate
				for _, word := range item.Decide {
					found = append(found, candidate{word, ""})
				}
				return found, nil
			}
		}
		return nil, nil
	}
}

// stepsOf offers the steps of a rollback stack, by their artifacts where these tell them apart.
func stepsOf(ref string) candidates {
	return func(ctx context.Context, api *client.Client) ([]candidate, error) {
		view, err := api.Show(ctx, ref)
		if err != nil {
			return nil, err
		}
		of := map[string]int{}
		for _, step := range view.Rollbacks {
			of[step.Artifact]++
		}
		var found []candidate
		for _, step := range view.Rollbacks {
			word := step.Name
			if of[step.Artifact] == 1 {
				word = step.Artifact
			}
			found = append(found, candidate{word, step.Do})
		}
		return found, nil
	}
}

// actionsOf offers the actions that were asked for and not done.
func actionsOf(ref string) candidates {
	return func(ctx context.Context, api *client.Client) ([]candidate, error) {
		view, err := api.Show(ctx, ref)
		if err != nil {
			return nil, err
		}
		var found []candidate
		for _, a := range view.Actions {
			if a.State == "requested" {
				found = append(found, candidate{a.ID, a.Title})
			}
		}
		return found, nil
	}
}

func runbookNames(ctx context.Context, api *client.Client) ([]candidate, error) {
	runbooks, err := api.Runbooks(ctx)
	if err != nil {
		return nil, err
	}
	var found []candidate
	for _, book := range runbooks {
		found = append(found, candidate{book.Name, book.Title})
	}
	return found, nil
}

func groupsOf(name string) candidates {
	return func(ctx context.Context, api *client.Client) ([]candidate, error) {
		runbooks, err := api.Runbooks(ctx)
		if err != nil {
			return nil, err
		}
		offered := map[string]bool{}
		var found []candidate
		for _, book := range runbooks {
			for _, group := range book.Groups {
				for label, value := range group.Group {
					if pair := label + "=" + value; book.Name == name && !offered[pair] {
						offered[pair] = true
						found = append(found, candidate{pair, ""})
					}
				}
			}
		}
		slices.SortFunc(found, func(a, b candidate) int { return strings.Compare(a.word, b.word) })
		return found, nil
	}
}

func receiverNames(ctx context.Context, api *client.Client) ([]candidate, error) {
	receivers, err := api.Receivers(ctx)
	if err != nil {
		return nil, err
	}
	var found []candidate
	for _, r := range receivers {
		found = append(found, candidate{r.Name, r.Kind})
	}
	return found, nil
}

func silenceIDs(ctx context.Context, api *client.Client) ([]candidate, error) {
	silences, err := api.Silences(ctx)
	if err != nil {
		return nil, err
	}
	var found []candidate
	for _, s := range silences {
		found = append(found, candidate{s.ID, silencedOf(s.Silence) + ": " + s.Reason})
	}
	return found, nil
}
