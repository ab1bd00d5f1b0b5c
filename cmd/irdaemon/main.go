// Command irdaemon runs runbooks as code for AI incidents: the daemon, its demo, and the on-call's commands.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the build (-ldflags "-X main.version=…").
var version = ""

func main() { os.Exit(run(os.Args[1:])) }

// run gives the exit code: 0 done, 1 it found a problem, 2 wrong usage.
func run(args []string) int {
	root := rootCommand()
	root.SetArgs(args)
	err := root.Execute()
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "irdaemon:", err)
	var usage *usageError
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "irdaemon",
		Short:         "Runbooks as code for AI incidents",
		Long:          "irdaemon polls Prometheus for the signals of an LLM product, opens incidents by runbook, pages the one\naccountable owner, and keeps watching until recovery is verified.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return wrongUsage("%w\nsee %s --help", err, cmd.CommandPath())
	})
	root.AddGroup(onCallGroup())
	root.AddCommand(runCommand(), checkCommand(), testCommand(), replayCommand(), demoCommand(), tokenCommand(), versionCommand())
	root.AddCommand(clientCommands()...)
	root.InitDefaultCompletionCmd()
	usageErrors(root)
	return root
}

// usageErrors makes wrong arguments exit with 2, as wrong flags do.
func usageErrors(cmd *cobra.Command) {
	if !cmd.Runnable() { // it holds other commands, and would show its help whatever was typed
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return wrongUsage("%w\nsee %s --help", err, cmd.CommandPath())
			}
			return nil
		}
	}
	for _, child := range cmd.Commands() {
		usageErrors(child)
	}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "irdaemon", buildVersion())
			return err
		},
	}
}

// buildVersion is what the build set, else what Go recorded of the module.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
