package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"text/tabwriter"
	"text/template"
	"time"

	"github.com/spf13/cobra"

	"github.com/stasis-run/stasis"
)

// An outputFormat is how a command prints what it lists: a table, an object of
// JSON a line, or a template, as docker's --format.
type outputFormat struct {
	json     bool
	table    bool // with a head
	template *template.Template
}

const formatUsage = "table, json, or a Go template such as '{{.Name}}'"

func addFormat(c *cobra.Command, format *string, usage string) {
	c.Flags().StringVar(format, "format", "", usage)
	complete(c, "format", "json", "table")
}

// functions are those of docker's templates.
var functions = template.FuncMap{
	"json": func(v any) (string, error) {
		b, err := json.Marshal(v)
		return string(b), err
	},
	"join": strings.Join, "lower": strings.ToLower, "upper": strings.ToUpper, "split": strings.Split,
	"truncate": func(s string, n int) string { return cut(s, n) },
}

func parseFormat(c *cobra.Command, format string) (*outputFormat, error) {
	switch format {
	case "", "table":
		return &outputFormat{table: true}, nil
	case "json":
		return &outputFormat{json: true}, nil
	}
	text, isTable := strings.CutPrefix(format, "table ")
	text = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(text)
	t, err := template.New("format").Funcs(functions).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: --format: %s (want %s)", c.Name(), strings.TrimPrefix(err.Error(), "template: format:1: "), formatUsage)
	}
	return &outputFormat{table: isTable, template: t}, nil
}

// printRows prints rows: of a table, with what cells makes of each below head.
func printRows[T any](c *cobra.Command, o *outputFormat, w io.Writer, head []string, rows []T, cells func(*T) []string) error {
	if !o.table {
		return printLines(c, o, w, rows, cells)
	}
	tabs := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	w = tabs
	switch {
	case o.template != nil:
		if err := o.template.Execute(w, headOf[T]()); err != nil {
			return templateError(c, err)
		}
		fmt.Fprintln(w)
	default:
		fmt.Fprintln(w, strings.Join(head, "\t"))
	}
	if err := printLines(c, o, w, rows, cells); err != nil {
		return err
	}
	return tabs.Flush()
}

func printLines[T any](c *cobra.Command, o *outputFormat, w io.Writer, rows []T, cells func(*T) []string) error {
	for i := range rows {
		if err := printRow(c, o, w, &rows[i], cells); err != nil {
			return err
		}
	}
	return nil
}

func printRow[T any](c *cobra.Command, o *outputFormat, w io.Writer, row *T, cells func(*T) []string) (err error) {
	switch {
	case o.template != nil:
		if err := o.template.Execute(w, row); err != nil {
			return templateError(c, err)
		}
		_, err = fmt.Fprintln(w)
	case o.json:
		err = json.NewEncoder(w).Encode(row)
	default:
		_, err = fmt.Fprintln(w, strings.Join(cells(row), "\t"))
	}
	return err
}

// headOf is the head of a table that is made by a template: the fields' names.
func headOf[T any]() map[string]string {
	head := make(map[string]string)
	for _, f := range reflect.VisibleFields(reflect.TypeFor[T]()) {
		head[f.Name] = strings.ToUpper(f.Name)
	}
	return head
}

// templateError says what a template asks for in vain; other errors are the
// output's.
func templateError(c *cobra.Command, err error) error {
	var exec template.ExecError
	if errors.As(err, &exec) {
		return fmt.Errorf("%s: --format: %s (see the fields with --format json)", c.Name(), execText(exec))
	}
	return err
}

// execText is a template's error without what it says of the template's name.
func execText(err template.ExecError) string {
	if _, text, ok := strings.Cut(err.Error(), `: executing "format" `); ok {
		return text
	}
	return err.Error()
}

// printInspected prints objects as inspect does: an array of JSON, or a line of a
// template for each.
func printInspected(c *cobra.Command, o *outputFormat, all []any) error {
	if o.template == nil {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "    ")
		e.SetEscapeHTML(false)
		return e.Encode(all)
	}
	for _, v := range all {
		if err := o.template.Execute(os.Stdout, v); err != nil {
			return templateError(c, err)
		}
		if _, err := fmt.Println(); err != nil {
			return err
		}
	}
	return nil
}

// cut shortens a text to n characters; the last is then an ellipsis.
func cut(s string, n int) string {
	if r := []rune(s); len(r) > n && n > 0 {
		return string(r[:n-1]) + "…"
	}
	return s
}

// shortID is how many characters of an id or a generation tables show.
const shortID = 12

// sizeText is a number of bytes for people.
func sizeText(n int64) string {
	const units = "KMGTPE"
	f, unit := float64(n), ""
	for i := 0; f >= 1000 && i < len(units); i++ {
		f, unit = f/1024, units[i:i+1]+"i"
	}
	if unit == "" {
		return fmt.Sprintf("%dB", n)
	}
	return fmt.Sprintf("%.3g%sB", f, unit)
}

// agoText is how long ago something was, for people.
func agoText(t time.Time) string {
	d := time.Since(t)
	switch {
	case d < 0:
		return t.Local().Format(time.DateTime)
	case d < 2*time.Second:
		return "just now"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d seconds ago", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes ago", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours ago", d/time.Hour)
	}
	return fmt.Sprintf("%d days ago", d/(24*time.Hour))
}

// as gives an error of the public package the name of the command.
func as(verb string, err error) error {
	var e *stasis.Error
	if !errors.As(err, &e) {
		return err
	}
	renamed := *e
	renamed.Op = verb
	return &renamed
}
