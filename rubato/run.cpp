#include "rubato/run.hpp"

#include "actors/run.hpp"
#include "actors/work.hpp"
#include "config/version.hpp"
#include "network/serving.hpp"

namespace rubato {

run_summary run(const config& c, const run_options& options) {
  run_parts parts;
  parts.observer = options.observer;
  parts.stop = options.stop;
  if (options.serve) {
    parts.serve =
        serving{check_serving(c, options.insecure_network), std::string(program_version())};
  }
  return run_training(c, parts);
}

void join(const join_options& options) {
  work_setup setup;
  setup.server = parse_address(options.server, "join", false);
  setup.settings = load_node_settings({}, options.settings);
  check_joining(setup.server, setup.settings.own, options.insecure_network);
  setup.name = options.name;
  setup.workers = options.workers;
  setup.version = program_version();
  setup.say = options.say;
  run_parts parts;
  parts.stop = options.stop;
  work_for(setup, parts);
}

}  // namespace rubato
