package cli

import (
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/stasis-run/stasis"
)

func completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a script that completes command lines in a shell",
		Long: `Print a script for a shell, which then completes commands, flags, and names of
systems and images.`,
		Example: `  source <(stasis completion bash)
  stasis completion zsh >"${fpath[1]}/_stasis"
  stasis completion fish >~/.config/fish/completions/stasis.fish`,
		Args:      arguments(1, 1),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(os.Stdout, true)
			case "zsh":
				return root.GenZshCompletion(os.Stdout)
			case "fish":
				return root.GenFishCompletion(os.Stdout, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(os.Stdout)
			}
			return fmt.Errorf("completion: shell %q: want bash, zsh, fish or powershell", args[0])
		},
	}
}

// complete has the values of a flag completed.
func complete(c *cobra.Command, flag string, values ...string) {
	_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
}

// systemNames completes names of systems; most < 0 is any number of them.
func systemNames(most int, fits func(stasis.State) bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if most >= 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		systems, err := host.List(cmd.Context(), stasis.Query{})
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var names []string
		for _, p := range properties(cmd.Context(), systems) {
			if p != nil && (fits == nil || fits(p.State)) && !slices.Contains(args, p.Name) {
				names = append(names, p.Name+"\t"+oneLine(statusText(p)+", "+programText(p)))
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

func isRunning(s stasis.State) bool { return s.Running() }
func isResting(s stasis.State) bool { return !s.Running() }

// imageNames completes tags and generations of images.
func imageNames(most int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if most >= 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		images, _, err := host.Images(cmd.Context())
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var names []string
		for _, im := range images {
			about := "\t" + oneLine(im.System()) + ", " + agoText(im.Config.Created)
			for _, tag := range im.Tags {
				names = append(names, tag+about)
			}
			names = append(names, cutID(im.Config.Generation, false)+about)
		}
		return names, cobra.ShellCompDirectiveDefault // a directory can be an image, too
	}
}

// moduleFiles completes the name of a module's file, then any files.
func moduleFiles(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return []string{"wasm"}, cobra.ShellCompDirectiveFilterFileExt
}

// cutID is an id as tables show it, or all of it.
func cutID(id string, whole bool) string {
	if whole || len(id) <= shortID {
		return id
	}
	return id[:shortID]
}
