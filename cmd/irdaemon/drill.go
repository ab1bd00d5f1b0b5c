package main

import (
	"github.com/spf13/cobra"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/web/client"
)

func drillCommand(settings *clientSettings) *cobra.Command {
	var group map[string]string
	var severity string
	command := &cobra.Command{
		Use: "drill RUNBOOK", Short: "Practice: open an incident that is none, with real calls",
		Long: paragraphs("Open a practice incident of a runbook. It calls the real people, marked DRILL everywhere, and is counted nowhere.",
			"Its values are made up. It recovers once somebody has said what they did: irdaemon mitigated."),
		Example: "  irdaemon drill good-users-refused\n  irdaemon drill slow-answers --group tier=paid --severity sev3",
		Args:    arguments(cobra.ExactArgs(1), "one runbook"),
		RunE: func(command *cobra.Command, args []string) error {
			if severity != "" {
				if err := checkSeverity("--severity", severity); err != nil {
					return err
				}
			}
			by, err := settings.who()
			if err != nil {
				return err
			}
			return askFor(command, settings, func(api *client.Client) (incident.View, error) {
				return api.Drill(command.Context(), by, args[0], group, runbook.Severity(severity))
			}, drillText)
		},
		ValidArgsFunction: settings.completeFirst(runbookNames),
	}
	settings.groupFlag(command, &group)
	command.Flags().StringVar(&severity, "severity", "", "sev1 to sev4; default: the runbook's")
	placeholders(command.Flags(), map[string]string{"severity": "SEVERITY"})
	complete(command, "severity", severityNames()...)
	return settings.writes(command)
}

func drillText(view incident.View) string {
	return sentence("DRILL %s is open, %s: %s", named(view), view.Severity, view.Title) +
		sentence("%s; irdaemon incidents show %s says what to do", calledText(view), view.Ref())
}
