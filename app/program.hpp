// All of the program `rubato`, for its main() and those of others.
#pragma once

namespace rubato {

/// From the command line to the exit code: train, serve, work, replay and all other subcommands,
/// with what the program has registered among their choices. First thing in main() but for
/// registering, for it may start the program anew, with better matrix kernels.
int run_program(int argc, char** argv);

}  // namespace rubato
