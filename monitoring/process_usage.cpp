#include "monitoring/process_usage.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <system_error>

namespace rubato {
namespace {

/// The kernel's time of boot, in seconds since 1970.
double boot_time() {
  std::ifstream in("/proc/stat");
  for (std::string key; in >> key; in.ignore(1 << 20, '\n')) {
    if (double seconds = 0; key == "btime" && in >> seconds) return seconds;
  }
  return 0.0;
}

}  // namespace

process_usage read_process_usage() {
  process_usage usage;
  std::ifstream in("/proc/self/stat");
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  // The second field is the program's name in brackets, which may hold anything.
  const auto name_end = text.rfind(')');
  if (name_end == std::string::npos) return usage;
  std::istringstream fields(text.substr(name_end + 1));
  std::string skipped;
  const auto skip = [&](int count) {
    while (count-- > 0) fields >> skipped;
  };
  double user = 0, system = 0, start = 0, pages = 0;
  skip(11);  // to utime, the 14th
  fields >> user >> system;
  skip(4);
  fields >> usage.threads;
  skip(1);
  fields >> start;
  skip(1);
  fields >> pages;
  static const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  static const auto page_size = static_cast<double>(sysconf(_SC_PAGESIZE));
  static const double boot = boot_time();
  usage.cpu_seconds = (user + system) / ticks;
  usage.resident_bytes = pages * page_size;
  usage.started = boot + start / ticks;
  std::error_code error;
  for (std::filesystem::directory_iterator files("/proc/self/fd", error), end; files != end;
       files.increment(error)) {
    ++usage.open_files;
  }
  return usage;
}

}  // namespace rubato
