#include "actors/work.hpp"

#include <cstdio>
#include <string>

#include "app/commands.hpp"
#include "app/interrupts.hpp"
#include "app/monitoring.hpp"
#include "config/error.hpp"
#include "network/serving.hpp"

namespace rubato {

int work(const work_options& options) {
  work_setup setup;
  setup.server = parse_address(options.server, "command line: --server", false);
  setup.settings = load_node_settings(options.config_paths, options.overrides);
  check_joining(setup.server, setup.settings.own, options.insecure_network);
  if (setup.settings.passed_over > 0) {
    std::fprintf(stderr,
                 "note: %zu settings of the files hold for a whole run; the server's count\n",
                 setup.settings.passed_over);
  }
  setup.name = options.name;
  setup.workers = options.workers;
  setup.version = RUBATO_VERSION;
  setup.say = [](const std::string& text) {
    std::printf("%s\n", text.c_str());
    std::fflush(stdout);
  };
  run_parts parts;
  parts.activity = std::make_shared<lane_activity>();
  parts.links = start_monitor(setup.settings.own, monitored::node, parts.activity,
                              options.insecure_network, stdout);
  auto& interrupted = catch_interrupts();
  parts.stop = &interrupted;
  work_for(setup, parts);
  return interrupted ? exit_interrupted : exit_done;
}

}  // namespace rubato
