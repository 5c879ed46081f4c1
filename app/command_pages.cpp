#include "app/command_pages.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <string_view>
#include <vector>

#include "config/schema.hpp"

namespace rubato {
namespace {

struct option_line {
  std::vector<std::string> names;  // "--json"; of a positional "CONFIG"
  std::string help;
  bool takes_value = false;
};

/// A subcommand with its options, or the program itself.
struct command_page {
  std::string path;  // "data prepare"; empty: the program
  std::string help;
  std::vector<option_line> options;
  std::vector<option_line> positionals;
  std::vector<std::string> subcommands;
  bool takes_keys = false;
};

bool takes_keys(std::string_view path) {
  constexpr std::string_view with_keys[] = {"train",      "serve",       "work",
                                            "generate",   "compare",     "replay",
                                            "bench step", "bench merge", "bench recovery"};
  return std::find(std::begin(with_keys), std::end(with_keys), path) != std::end(with_keys);
}

void add_pages(const CLI::App& app, const std::string& path, std::vector<command_page>& pages) {
  command_page page;
  page.path = path;
  page.help = app.get_description();
  page.takes_keys = takes_keys(path);
  for (const auto* option : app.get_options([](const CLI::Option*) { return true; })) {
    if (option->get_group().empty()) continue;  // hidden
    option_line line{.names = {},
                     .help = option->get_description(),
                     .takes_value = option->get_items_expected_max() > 0};
    if (option->get_positional()) {
      line.names.push_back(option->get_name());
      page.positionals.push_back(std::move(line));
      continue;
    }
    for (const auto& name : option->get_snames()) line.names.push_back("-" + name);
    for (const auto& name : option->get_lnames()) line.names.push_back("--" + name);
    page.options.push_back(std::move(line));
  }
  const auto at = pages.size();
  pages.push_back(std::move(page));
  for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    const auto name = command->get_name();
    pages[at].subcommands.push_back(name);
    add_pages(*command, path.empty() ? name : fmt::format("{} {}", path, name), pages);
  }
}

/// Of the program and all its subcommands, each before those below it.
std::vector<command_page> pages_of(const CLI::App& app) {
  std::vector<command_page> pages;
  add_pages(app, "", pages);
  return pages;
}

/// What can follow a key: its choices, or true and false; nothing where anything can.
std::vector<std::string> values_of(const key_spec& spec) {
  if (std::holds_alternative<bool>(spec.default_value())) return {"true", "false"};
  return {spec.choices.begin(), spec.choices.end()};
}

// -- shells -------------------------------------------------------------------------------------

/// What both shells do alike, in words that mean the same to them: from `previous` and the words
/// `before` to `values`, what an option takes, and `next`, what else can come.
std::string common_part(const CLI::App& app) {
  const auto pages = pages_of(app);
  std::string values, next;
  std::vector<std::string> paths, key_options;
  for (const auto& spec : keys()) {
    key_options.push_back(fmt::format("--{}", spec.name));
    const auto choices = values_of(spec);
    if (choices.empty()) continue;
    values += fmt::format("    --{}) values='{}' ;;\n", spec.name, fmt::join(choices, " "));
  }
  for (const auto& page : pages) {
    if (!page.path.empty()) paths.push_back(fmt::format("'{}'", page.path));
    auto words = page.subcommands;
    for (const auto& option : page.options) {
      words.insert(words.end(), option.names.begin(), option.names.end());
    }
    next += fmt::format("    '{}') next='{}'{} ;;\n", page.path, fmt::join(words, " "),
                        page.takes_keys ? " with_keys=1" : "");
  }
  return fmt::format(R"(  local where= word= next= with_keys= values=
  for word in "${{before[@]}}"; do
    case "${{where:+$where }}$word" in
      {}) where="${{where:+$where }}$word" ;;
    esac
  done
  case $previous in
{}  esac
  case $where in
{}  esac
  if [[ -n $with_keys && $current == --* ]]; then
    next+=' {}'
  fi
)",
                     fmt::join(paths, "|"), values, next, fmt::join(key_options, " "));
}

// -- manual -------------------------------------------------------------------------------------

/// Text that roff prints as it is.
std::string roff(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '\\') {
      result += "\\e";
    } else if (c == '-') {
      result += "\\-";
    } else {
      result += c;
    }
  }
  if (result.starts_with('.') || result.starts_with('\'')) result.insert(0, "\\&");
  return result;
}

std::string tagged(const std::string& tag, std::string_view text) {
  return fmt::format(".TP\n{}\n{}\n", tag, roff(text));
}

std::string bold(std::string_view text) {
  return fmt::format("\\fB{}\\fR", roff(text));
}

std::string synopsis(const command_page& page) {
  auto text = bold("rubato " + page.path);
  for (const auto& line : page.positionals) {
    text += fmt::format(" \\fI{}\\fR", roff(line.names.front()));
  }
  if (!page.options.empty()) text += " [\\fIOPTION\\fR...]";
  if (page.takes_keys) text += fmt::format(" [{} \\fIVALUE\\fR...]", bold("--section.key"));
  return text;
}

std::string describe(const command_page& page) {
  auto text = fmt::format(".SS {}\n{}.\n.PP\n{}\n", roff("rubato " + page.path), roff(page.help),
                          synopsis(page));
  for (const auto& line : page.positionals) {
    text += tagged(fmt::format("\\fI{}\\fR", roff(line.names.front())), line.help);
  }
  for (const auto& line : page.options) {
    std::vector<std::string> names;
    for (const auto& name : line.names) names.push_back(bold(name));
    const auto value = line.takes_value ? " \\fIVALUE\\fR" : "";
    text += tagged(fmt::format("{}{}", fmt::join(names, ", "), value), line.help);
  }
  return text;
}

std::string describe_keys() {
  std::string text;
  std::string_view section;
  for (const auto& spec : keys()) {
    if (spec.section() != section) {
      section = spec.section();
      text += fmt::format(".SS [{}]\n", roff(section));
    }
    auto help = fmt::format("{} Takes {}; by default {}.", spec.help, allowed_values(spec),
                            to_text(spec.default_value()));
    if (!spec.used_when.empty()) help += fmt::format(" Used with {}.", to_text(spec.used_when));
    text += tagged(bold(fmt::format("--{}", spec.name)), help);
  }
  return text;
}

}  // namespace

std::string bash_completion(const CLI::App& app) {
  return fmt::format(
      R"(# Completion of rubato's command line for bash; made by `rubato completion bash`.
_rubato() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD - 1]}}"
  local before=("${{COMP_WORDS[@]:1:COMP_CWORD - 1}}")
{}
  COMPREPLY=($(compgen -W "${{values:-$next}}" -- "$current"))
  # What is no word of ours is the name of a file.
  if [[ -z $values && ${{#COMPREPLY[@]}} == 0 ]]; then
    compopt -o default
  fi
}}
complete -F _rubato rubato
)",
      common_part(app));
}

std::string zsh_completion(const CLI::App& app) {
  return fmt::format(R"(#compdef rubato
# Completion of rubato's command line for zsh; made by `rubato completion zsh`.
_rubato() {{
  local current="${{words[CURRENT]}}" previous="${{words[CURRENT - 1]}}"
  local -a before=("${{(@)words[2,CURRENT - 1]}}")
{}
  if [[ -n $values ]]; then
    compadd -- ${{=values}}
    return
  fi
  compadd -- ${{=next}}
  if [[ $current != -* ]]; then
    _files
  fi
}}
_rubato "$@"
)",
                     common_part(app));
}

std::string manual_page(const CLI::App& app, const std::string& version) {
  auto text = fmt::format(R"(.TH RUBATO 1 "" "rubato {}" "User Commands"
.SH NAME
rubato \- asynchronous Local\-SGD as an actor runtime
.SH SYNOPSIS
.B rubato
\fICOMMAND\fR [\fIOPTION\fR...] [\fB\-\-section.key\fR \fIVALUE\fR...]
.SH DESCRIPTION
Rubato trains neural networks with workers of different speeds, each of which takes many steps at its own tempo.
A run is described by a TOML file, every key of which can be given as an option as well; options win.
.SH COMMANDS
)",
                          roff(version));
  for (const auto& page : pages_of(app)) {
    if (!page.path.empty()) text += describe(page);
  }
  text += ".SH CONFIGURATION KEYS\n" + describe_keys();
  text += R"(.SH EXIT STATUS
.TP
.B 0
Done.
.TP
.B 1
The run failed.
.TP
.B 2
Wrong usage or configuration.
.TP
.B 130
Ended by a signal, after writing everything.
.SH FILES
.TP
.I /usr/share/rubato/quickstart.toml
A first run, on text that every Debian has.
.TP
.I runs/NAME\-DATE\-TIME
Where a run leaves its files, unless run.directory says otherwise.
)";
  return text;
}

}  // namespace rubato
