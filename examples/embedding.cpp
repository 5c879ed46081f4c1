// A program with actors of its own that trains on the side: an actor is told of each evaluation,
// and ends the run when it is content.   embedding CONFIG LOSS
#include <atomic>
#include <caf/all.hpp>
#include <cstdio>
#include <rubato/run.hpp>

std::atomic<bool> enough{false};

/// The program's own: hears of losses, in millionths, and answers with nothing.
caf::behavior watcher(caf::event_based_actor* self, double wanted) {
  return {[=](std::int64_t step, std::int64_t millionths) {
    const double loss = static_cast<double>(millionths) / 1e6;
    std::printf("after %lld steps: %.4f\n", static_cast<long long>(step), loss);
    if (loss > wanted || enough.exchange(true)) return;
    std::printf("that is enough\n");
    self->quit();
  }};
}

/// Passes on what the run tells.
class reporter final : public rubato::run_observer {
 public:
  explicit reporter(caf::actor to) : to_(std::move(to)) {}
  void evaluated(const rubato::evaluation& e) override {
    caf::anon_send(to_, e.local_steps, static_cast<std::int64_t>(e.loss * 1e6));
  }

 private:
  caf::actor to_;
};

int main(int argc, char** argv) try {
  if (argc != 3) throw rubato::usage_error("usage: embedding CONFIG LOSS");
#if CAF_MAJOR_VERSION > 0 || CAF_MINOR_VERSION >= 18  // before the first actor system
  caf::core::init_global_meta_objects();
#endif
  caf::actor_system_config settings;
  caf::actor_system system(settings);
  const auto told = system.spawn(watcher, std::stod(argv[2]));
  auto config = rubato::load_config(argv[1]);
  config.evaluate.every_local_steps = 1000;
  const auto summary =
      rubato::run(config, {.observer = std::make_shared<reporter>(told), .stop = &enough});
  std::printf("%s after %lld steps\n", summary.outcome.c_str(),
              static_cast<long long>(summary.local_steps));
  caf::anon_send_exit(told, caf::exit_reason::user_shutdown);
} catch (const std::exception& error) {
  std::fprintf(stderr, "embedding: %s\n", error.what());
  return 1;
}
