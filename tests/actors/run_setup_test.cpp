#include "actors/run_setup.hpp"

#include <doctest/doctest.h>
#include <sched.h>

#include <thread>

using namespace rubato;

namespace {

/// Whether the system lets a thread have it.
bool can_be_patient() {
  bool can = false;
  std::thread([&can] {
    const sched_param ordinary{};
    can = sched_setscheduler(0, SCHED_BATCH, &ordinary) == 0;
  }).join();
  return can;
}

int policy_of_new_thread() {
  int policy = -1;
  std::thread([&policy] { policy = sched_getscheduler(0); }).join();
  return policy;
}

}  // namespace

TEST_CASE("threads that are started in between are patient, and no others") {
  const int before = sched_getscheduler(0);
  if (before != SCHED_OTHER || !can_be_patient()) {
    MESSAGE("this system has other plans for its threads: not tested");
    return;
  }
  {
    const patient_threads patient;
    CHECK(policy_of_new_thread() == SCHED_BATCH);
  }
  CHECK(sched_getscheduler(0) == before);
  CHECK(policy_of_new_thread() == before);
}
