// A carriage waits for the comparisons of its ranks, and it fails in order. Its carrier and the comparisons
// end when the test says so.
#include "distributed/communicators/device_carrier.hpp"

#include <stdexcept>
#include <utility>

#include "core/error.hpp"
#include "distributed/communicators/communicator.hpp"
#include "tests/support/catch.hpp"

using namespace granule;

namespace {

/// What the test says, and what happened.
struct Play {
  int polls_until_compared = 0;      // of each comparison
  bool fails = false, done = false;  // the carrier, and what it carries
  int compared = 0, polls = 0, aborts = 0;
};

struct Comparison final : Operation {
  explicit Comparison(Play& of) : play(of), left(of.polls_until_compared) {}
  bool poll() override {
    if (left-- > 0) return false;
    ++play.compared;
    return true;
  }
  void wait() override {}
  Play& play;
  int left;
};

struct Carried final : Operation {
  explicit Carried(Play& of) : play(of) {}
  bool poll() override { return play.done; }
  void wait() override { play.done = true; }
  Play& play;
};

struct Carrier final : DeviceCarrier {
  explicit Carrier(Play& of) : play(of) {}
  std::unique_ptr<Operation> start(const Collective&) override {
    if (play.fails) throw Error(ExitCode::failure, "the carrier is broken", "", "");
    return std::make_unique<Carried>(play);
  }
  std::unique_ptr<DeviceCarrier> split(int, int) override { return nullptr; }
  void poll() override {
    ++play.polls;
    if (play.fails) throw Error(ExitCode::failure, "the carrier is broken", "", "");
  }
  void abort() noexcept override { ++play.aborts; }
  Play& play;
};

/// A rank whose job ends by an exception.
class Rank final : public Communicator {
 public:
  Rank() : Communicator({.group = "world", .size = 2}, std::make_shared<Ledger>()) {}
  [[nodiscard]] Carriages* carriages() override { return &carriages_; }
  [[noreturn]] void abort(ExitCode code, std::string_view message) override {
    throw Error(code, message, "", "");
  }

 private:
  std::unique_ptr<Operation> start(Collective, const Ticket&) override { return nullptr; }
  std::unique_ptr<Communicator> form(const Group&) override { return nullptr; }
  Carriages carriages_;
};

struct Scene {
  Play play;
  Rank rank;
  std::unique_ptr<TensorCarriage> carriage =
      std::make_unique<TensorCarriage>(rank, std::make_unique<Carrier>(play));

  /// A collective whose comparison comes after so many polls.
  std::unique_ptr<Operation> start(int polls) {
    play.polls_until_compared = polls;
    return carriage->start({.kind = CollectiveKind::barrier, .phase = "sum"},
                           std::make_unique<Comparison>(play));
  }
};

constexpr int kNever = 1'000'000'000;

}  // namespace

TEST_CASE("a carriage: the host acts on nothing before the ranks have compared, even if the data are there") {
  Scene scene;
  const auto sum = scene.start(20);
  sum->wait();
  CHECK(sum->poll());
  CHECK(scene.play.compared == 0);
  CHECK_FALSE(scene.carriage->settled());
  settle_background();
  CHECK(scene.play.compared == 1);
  CHECK(scene.carriage->settled());
}

TEST_CASE("a carriage: whoever asks for a collective lets the carrier and the comparisons go on") {
  Scene scene;
  const auto sum = scene.start(3);
  for (int i = 0; i < 3; ++i) CHECK_FALSE(sum->poll());
  CHECK(scene.play.compared == 1);
  CHECK(scene.play.polls == 4);  // one of them when it began
}

TEST_CASE("a carriage waits for the comparisons when it ends, and gives up if its rank has failed") {
  Scene scene;
  static_cast<void>(scene.start(20));
  scene.carriage.reset();
  CHECK(scene.play.compared == 1);
  CHECK(scene.play.aborts == 0);
  Play play;
  Rank rank;
  try {
    TensorCarriage carriage(rank, std::make_unique<Carrier>(play));
    play.polls_until_compared = kNever;
    static_cast<void>(carriage.start({.kind = CollectiveKind::barrier, .phase = "sum"},
                                     std::make_unique<Comparison>(play)));
    throw std::runtime_error("this rank has failed");
  } catch (const std::runtime_error&) {
    CHECK(play.aborts == 1);
  }
}

TEST_CASE("a carriage: an error of the carrier ends the job and says in which step") {
  Scene scene;
  scene.rank.ledger().begin_step(7);
  scene.play.fails = true;
  using Catch::Contains;
  CHECK_THROWS_WITH(scene.start(0), Contains("the carrier is broken") && Contains("step 7, phase"));
  CHECK_THROWS_WITH(scene.carriage->advance(), Contains("the carrier is broken"));
  scene.play.fails = false;
}

TEST_CASE("a carriage that was aborted is never settled, asks its carrier nothing, and fails silently") {
  Scene scene;
  static_cast<void>(scene.start(0));
  CHECK(scene.carriage->settled());
  scene.rank.carriages()->abort();
  scene.rank.carriages()->abort();
  CHECK(scene.play.aborts == 1);
  CHECK_FALSE(scene.carriage->settled());
  const int polls = scene.play.polls;
  scene.play.fails = true;
  scene.carriage->advance();
  CHECK_NOTHROW(scene.start(0));
  CHECK(scene.play.polls == polls);
  // The carriage's destructor would wait until the process ends, as every wait does after an abort.
  try {
    const auto gone = std::move(scene.carriage);
    throw std::runtime_error("this rank has failed");
  } catch (const std::runtime_error&) {
    CHECK(scene.play.aborts == 1);
  }
}
