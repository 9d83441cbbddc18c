package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stasis-run/stasis/internal/cli"
	"github.com/stasis-run/stasis/internal/version"
)

// docs are the manual pages and the completions.
func (r *release) docs() ([]file, error) {
	root := cli.NewRoot()
	root.InitDefaultHelpCmd()
	var out []file
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		out = append(out, file{path: "share/man/man1/" + pageName(c) + ".1", data: r.page(c)})
		for _, s := range c.Commands() {
			if s.IsAvailableCommand() && s.Name() != "help" {
				walk(s)
			}
		}
	}
	walk(root)
	for path, gen := range map[string]func(*bytes.Buffer) error{
		"share/bash-completion/completions/stasis":    func(b *bytes.Buffer) error { return root.GenBashCompletionV2(b, true) },
		"share/zsh/site-functions/_stasis":            func(b *bytes.Buffer) error { return root.GenZshCompletion(b) },
		"share/fish/vendor_completions.d/stasis.fish": func(b *bytes.Buffer) error { return root.GenFishCompletion(b, true) },
	} {
		var b bytes.Buffer
		if err := gen(&b); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		out = append(out, file{path: path, data: b.Bytes()})
	}
	return out, nil
}

func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// page is a command's manual page, from what its --help says.
//
// cobra has a writer of pages, too. It comes with a Markdown parser and a YAML
// encoder, takes help texts for Markdown, and prints each flag twice.
func (r *release) page(c *cobra.Command) []byte {
	var b bytes.Buffer
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p(`.TH "%s" "1" "%s" "stasis %s" "Stasis"`, strings.ToUpper(roff(pageName(c))), r.time.Format("2006\\-01\\-02"), roff(version.Number))
	p(".SH NAME\n%s \\- %s", roff(pageName(c)), roff(c.Short))
	p(".SH SYNOPSIS")
	if c.Runnable() && c.HasParent() {
		p(".B %s\n%s", roff(c.CommandPath()), roff(strings.TrimPrefix(strings.TrimPrefix(c.UseLine(), c.CommandPath()), " ")))
	}
	if c.HasAvailableSubCommands() {
		p(".B %s\n[flags] COMMAND", roff(c.CommandPath()))
	}
	p(".SH DESCRIPTION")
	if c.Long != "" {
		paragraphs(&b, c.Long)
	} else {
		p("%s.", roff(c.Short))
	}
	if c.HasAvailableSubCommands() {
		p(".SH COMMANDS")
		for _, s := range c.Commands() {
			if s.IsAvailableCommand() && s.Name() != "help" {
				p(".TP\n.BR %s (1)\n%s", roff(pageName(s)), roff(s.Short))
			}
		}
	}
	c.InitDefaultHelpFlag()
	c.InitDefaultVersionFlag()
	flags(&b, "OPTIONS", c.NonInheritedFlags())
	flags(&b, "GLOBAL OPTIONS", c.InheritedFlags())
	if c.Example != "" {
		p(".SH EXAMPLES\n.EX")
		for line := range strings.Lines(c.Example) {
			p("%s", roff(strings.TrimSuffix(line, "\n")))
		}
		p(".EE")
	}
	var also []string
	if c.HasParent() {
		also = append(also, fmt.Sprintf(".BR %s (1)", roff(pageName(c.Parent()))))
	}
	for _, s := range c.Commands() {
		if s.IsAvailableCommand() && s.Name() != "help" {
			also = append(also, fmt.Sprintf(".BR %s (1)", roff(pageName(s))))
		}
	}
	if len(also) > 0 {
		p(".SH SEE ALSO\n%s", strings.Join(also, ",\n"))
	}
	return b.Bytes()
}

// paragraphs writes a help text: paragraphs, and indented lines as they are.
func paragraphs(b *bytes.Buffer, text string) {
	for i, par := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		verbatim := false
		for line := range strings.Lines(par) {
			line = strings.TrimSuffix(line, "\n")
			if indented := strings.HasPrefix(line, " "); indented != verbatim {
				b.WriteString(map[bool]string{true: ".EX\n", false: ".EE\n"}[indented])
				verbatim = indented
			}
			b.WriteString(roff(line) + "\n")
		}
		if verbatim {
			b.WriteString(".EE\n")
		}
	}
}

func flags(b *bytes.Buffer, title string, set *pflag.FlagSet) {
	if !set.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(b, ".SH %s\n", title)
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Deprecated != "" {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		b.WriteString(".TP\n")
		if f.Shorthand != "" {
			fmt.Fprintf(b, `\fB\-%s\fR, `, roff(f.Shorthand))
		}
		fmt.Fprintf(b, `\fB\-\-%s\fR`, roff(f.Name))
		if kind = strings.TrimSuffix(kind, "Array"); kind != "" {
			fmt.Fprintf(b, `=\fI%s\fR`, roff(kind))
		}
		b.WriteString("\n" + roff(usage))
		switch f.DefValue {
		case "", "false", "0", "0s", "[]":
		default:
			fmt.Fprintf(b, " (%s by default)", roff(f.DefValue))
		}
		b.WriteString("\n")
	})
}

// roff escapes a line of text.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`, "'", `\(aq`, `"`, `\(dq`).Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}
