#include "recovery/audit.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "app/commands.hpp"
#include "config/error.hpp"
#include "recovery/history.hpp"

namespace rubato {
namespace {

void print_line(std::string_view what, std::uint64_t rounds, std::int64_t tokens) {
  fmt::print("  {:<20} {:>12} {:>16}\n", what, rounds, tokens);
}

void print_books(const std::string& directory, const audit_result& result) {
  const auto& books = result.books;
  fmt::print("{}: {} records{}, up to version {}; {}\n", directory, result.records,
             result.checkpoint ? fmt::format(" since checkpoint {}", *result.checkpoint) : "",
             books.version(),
             books.ended() ? "the run has ended" : "the run has not ended as it should");
  fmt::print("  {:<20} {:>12} {:>16}\n", "", "rounds", "tokens");
  print_line("assigned", books.assigned().rounds, books.assigned().tokens);
  for (const auto& [what, amount] : books.settled()) {
    print_line(to_string(what), amount.rounds, amount.tokens);
  }
  print_line("in flight", books.in_flight().rounds, books.in_flight().tokens);
  fmt::print("  {:<20} {:>12} {:>16}\n", "missing", "", books.missing());
  for (const auto& [what, count] : books.refused()) {
    fmt::print("{} update{} refused as {}, of no round in flight\n", count, count == 1 ? "" : "s",
               to_string(what));
  }
}

}  // namespace

int audit(const audit_options& options) {
  const auto& directory = options.directory;
  auto& files = posix_file_system();
  require_journal(files, directory);
  const auto lock = lock_to_read(directory);
  const auto result = audit_run(files, directory);
  print_books(directory, result);
  if (result.torn) {
    fmt::print(
        "note: the last {} bytes of {} were being written when the run was killed, and do "
        "not count\n",
        result.torn->bytes, result.torn->path);
  }
  if (result.balances()) {
    fmt::print("The books balance.\n");
    return exit_done;
  }
  const auto& books = result.books;
  for (const auto& fault : books.faults()) fmt::print("fault: {}\n", fault);
  if (books.fault_count() > books.faults().size()) {
    fmt::print("fault: {} more\n", books.fault_count() - books.faults().size());
  }
  for (const auto& line : result.against_summary) fmt::print("fault: {}\n", line);
  std::fflush(stdout);
  throw run_error(fmt::format("{}: the books do not balance: {} tokens are missing, with {} faults",
                              directory, books.missing(),
                              books.fault_count() + result.against_summary.size()));
}

}  // namespace rubato
