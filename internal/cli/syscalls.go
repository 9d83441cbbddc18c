package cli

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stasis-run/stasis"
)

// A syscallRow is what syscalls says of a call. The fields' names are those of
// --format.
type syscallRow struct{ stasis.Syscall }

func syscallsCommand() *cobra.Command {
	var asJSON bool
	var format string
	c := &cobra.Command{
		Use:   "syscalls [flags]",
		Short: "List the system calls that programs can import",
		Long: `List the system calls that programs can import: from which modules, of which type,
how complete they are (full; partial, and what is missing; none, which answers
ENOTSUP), and what becomes of one that is under way in a checkpoint.`,
		Example: `  stasis syscalls
  stasis syscalls --json
  stasis syscalls --format '{{.Name}} {{.Level}}'`,
		Args:              arguments(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				format = "json"
			}
			o, err := parseFormat(cmd, format)
			if err != nil {
				return err
			}
			var rows []syscallRow
			for _, d := range stasis.Syscalls() {
				rows = append(rows, syscallRow{d})
			}
			return printRows(cmd, o, os.Stdout, []string{"CALL", "MODULES", "TYPE", "LEVEL", "IN A CHECKPOINT", "NOTE"}, rows, (*syscallRow).cells)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print an object of JSON a line: short for --format json")
	addFormat(c, &format, formatUsage)
	return c
}

func (r *syscallRow) cells() []string {
	return []string{r.Name, strings.Join(r.Modules, ","), r.Signature(), r.Level, dash(r.Saved), dash(r.Note)}
}

// dash stands for what there is nothing of.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
