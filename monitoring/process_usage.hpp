// What this process uses of the machine, as the kernel counts it (/proc/self).
#pragma once

namespace rubato {

/// What cannot be read is 0.
struct process_usage {
  double cpu_seconds = 0.0;
  double resident_bytes = 0.0;
  double open_files = 0.0;
  double threads = 0.0;
  double started = 0.0;  // seconds since 1970
};

process_usage read_process_usage();

}  // namespace rubato
