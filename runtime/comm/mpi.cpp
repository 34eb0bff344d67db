#include "runtime/comm/mpi.h"

#include <mpi.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <thread>

#include "sharding/error.h"

namespace initrt {
namespace {

using namespace std::chrono_literals;

constexpr int kNewsTag = 1;
constexpr std::size_t kLargeBytes = 256;  // what is above 2^31 bytes is counted in these
constexpr std::size_t kMaxFailureBytes = 4096;
constexpr std::size_t kMaxSpeakerBytes = 96;
constexpr auto kFailureGrace = 1s;  // for a rank that cannot go on to say why
constexpr auto kGrace = 3s;  // for rank 0 to end the job, before a failed rank does so itself
constexpr auto kSameFailure = 100ms;  // in which rank 0 fails too, where all ranks do

// What ranks send to rank 0: a heartbeat, or a failure with its text.
struct StatusMessage {
  std::uint64_t place = 0;
  std::uint32_t failed = 0;  // 0, or the exit status that the job is to have
  std::uint32_t text_bytes = 0;
  LogLevel level = LogLevel::Error;
  BytesDone bytes;
  std::array<char, kMaxFailureBytes> text{};
  std::array<char, kMaxSpeakerBytes> speaker{};  // who has failed, for the line that says so
};

struct Count {
  int count;
  MPI_Datatype type;
};

class LargeType {
 public:
  LargeType() {
    check_mpi(MPI_Type_contiguous(kLargeBytes, MPI_BYTE, &type_), "MPI_Type_contiguous");
    check_mpi(MPI_Type_commit(&type_), "MPI_Type_commit");
  }
  LargeType(const LargeType&) = delete;
  LargeType& operator=(const LargeType&) = delete;
  ~LargeType() { MPI_Type_free(&type_); }

  /// `bytes` as a count, in bytes where `whole`, of which they are a part, is below 2^31: libraries
  /// compute places in the receiving buffer in 32 bits.
  [[nodiscard]] Count count(std::size_t bytes, std::size_t whole) const {
    constexpr std::size_t kMax = std::numeric_limits<int>::max();
    if (whole <= kMax) return {static_cast<int>(bytes), MPI_BYTE};
    if (bytes % kLargeBytes != 0 || whole / kLargeBytes > kMax) {
      fail(
          "MPI: a transfer of {} bytes, {} with all ranks', is neither below 2^31 nor a multiple "
          "of 256",
          bytes, whole);
    }
    return {static_cast<int>(bytes / kLargeBytes), type_};
  }

 private:
  MPI_Datatype type_ = MPI_DATATYPE_NULL;
};

std::string speaker_of(const MpiSession& session) {
  if (session.size() == 1) return "";
  if (session.local_size() == session.size()) return fmt::format("rank {}: ", session.rank());
  std::array<char, 65> node{};
  gethostname(node.data(), node.size() - 1);
  return fmt::format("rank {} on {}: ", session.rank(), node.data());
}

std::string describe_place(std::uint64_t place) {
  return describe(static_cast<Stage>(place >> 32), static_cast<std::uint32_t>(place));
}

}  // namespace

std::string loaded_text(const BytesDone& bytes) {
  if (!bytes.known || bytes.all()) return "";
  const double part = static_cast<double>(bytes.done) / static_cast<double>(bytes.total);
  return fmt::format(", with {}% loaded", static_cast<int>(100 * part));
}

// All of this is touched by the communication thread only, but for construction and destruction.
struct MpiCommunicator::Requests {
  MPI_Comm data = MPI_COMM_NULL;
  MPI_Comm news = MPI_COMM_NULL;
  LargeType large;
  std::map<std::uint64_t, std::vector<MPI_Request>> active;  // by Transfer::sequence

  std::vector<MPI_Status> statuses;  // of the transfer that is looked at

  StatusMessage incoming;                    // rank 0
  MPI_Request listening = MPI_REQUEST_NULL;  // rank 0
  std::vector<std::uint64_t> places;         // rank 0: where each rank was last heard to be
  Clock::time_point last_progress = Clock::now();

  StatusMessage outgoing;
  MPI_Request sending = MPI_REQUEST_NULL;
  std::uint64_t progress_seen = 0;
  BytesDone bytes_sent;
  Clock::time_point last_sent{};
  Clock::time_point failed_at{};
  std::optional<std::string> not_ready;  // what a ready() has thrown
  Clock::time_point not_ready_at{};
  bool failure_sent = false;
  std::optional<Failure> heard;  // rank 0: of another rank, the first
  Clock::time_point heard_at{};

  void begin_send_receive(const Transfer& transfer, std::vector<MPI_Request>& requests) const;
};

MpiCommunicator::MpiCommunicator(const MpiSession& session, bool spin, std::chrono::seconds timeout)
    : QueuedCommunicator(spin),
      rank_(session.rank()),
      size_(session.size()),
      speaker_(speaker_of(session)),
      requests_(std::make_unique<Requests>()),
      timeout_seconds_(timeout.count()),
      heard_(session.size()) {
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &requests_->data), "MPI_Comm_dup");
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &requests_->news), "MPI_Comm_dup");
  requests_->places.resize(size_);
  start_thread();
}

MpiCommunicator::~MpiCommunicator() {
  finishing_.store(true);
  // Rank 0 has received every heartbeat once all ranks' last ones are complete.
  const auto heartbeat_received = [this] {
    int done = 1;
    if (requests_->sending != MPI_REQUEST_NULL) {
      MPI_Test(&requests_->sending, &done, MPI_STATUS_IGNORE);
    }
    return done != 0;
  };
  try {
    const std::byte here{1};
    std::vector<std::byte> all(size_);
    wait(start_all_gather(heartbeat_received, {&here, 1}, all));
  } catch (const std::exception& error) {
    fail_world(error.what());
  }
  stop_thread();
  if (requests_->listening != MPI_REQUEST_NULL) {
    MPI_Cancel(&requests_->listening);
    MPI_Wait(&requests_->listening, MPI_STATUS_IGNORE);
  }
  MPI_Comm_free(&requests_->news);
  MPI_Comm_free(&requests_->data);
}

void MpiCommunicator::note_progress(Stage stage, std::uint32_t unit) {
  place_.store(static_cast<std::uint64_t>(stage) << 32 | unit, std::memory_order_relaxed);
  progress_.fetch_add(1, std::memory_order_relaxed);
}

void MpiCommunicator::note_bytes(BytesDone bytes) {
  const std::lock_guard lock(heard_mutex_);
  heard_[rank_] = bytes;
}

std::vector<BytesDone> MpiCommunicator::bytes_of_ranks() const {
  const std::lock_guard lock(heard_mutex_);
  return heard_;
}

void MpiCommunicator::begin(const TransferHandle& transfer) {
  auto& requests = requests_->active[transfer->sequence];
  switch (transfer->kind) {
    case Transfer::Kind::AllGather: {
      const Count out = requests_->large.count(transfer->out.size(), transfer->in.size());
      const bool in_place =
          transfer->out.data() == transfer->in.data() + rank_ * transfer->out.size();
      requests.assign(1, MPI_REQUEST_NULL);
      check_mpi(MPI_Iallgather(in_place ? MPI_IN_PLACE : transfer->out.data(), out.count, out.type,
                               transfer->in.data(), out.count, out.type, requests_->data,
                               requests.data()),
                "MPI_Iallgather");
      break;
    }
    case Transfer::Kind::SendReceive:
      requests_->begin_send_receive(*transfer, requests);
      break;
    case Transfer::Kind::Broadcast: {
      const Count in = requests_->large.count(transfer->in.size(), transfer->in.size());
      requests.assign(1, MPI_REQUEST_NULL);
      check_mpi(MPI_Ibcast(transfer->in.data(), in.count, in.type, static_cast<int>(transfer->root),
                           requests_->data, requests.data()),
                "MPI_Ibcast");
      break;
    }
  }
}

// Request r is what is received from rank r, ranks + r what is sent to it; null where that is
// nothing. Not MPI_Ialltoallv, whose places in memory are numbers of 32 bits.
void MpiCommunicator::Requests::begin_send_receive(const Transfer& transfer,
                                                   std::vector<MPI_Request>& requests) const {
  const std::size_t ranks = transfer.in_parts.size();
  requests.assign(2 * ranks, MPI_REQUEST_NULL);
  for (std::uint32_t peer = 0; peer < ranks; ++peer) {
    const std::span<std::byte> part = transfer.in_parts[peer];
    if (part.empty()) continue;
    const Count in = large.count(part.size(), part.size());
    check_mpi(
        MPI_Irecv(part.data(), in.count, in.type, static_cast<int>(peer), 0, data, &requests[peer]),
        "MPI_Irecv");
  }
  for (std::uint32_t peer = 0; peer < ranks; ++peer) {
    const std::span<const std::byte> part = transfer.out_parts[peer];
    if (part.empty()) continue;
    const Count out = large.count(part.size(), part.size());
    check_mpi(MPI_Isend(part.data(), out.count, out.type, static_cast<int>(peer), 0, data,
                        &requests[ranks + peer]),
              "MPI_Isend");
  }
}

bool MpiCommunicator::test(const TransferHandle& transfer) {
  const auto found = requests_->active.find(transfer->sequence);
  int done = 0;
  std::vector<MPI_Status>& statuses = requests_->statuses;
  statuses.assign(found->second.size(), MPI_Status{});
  const int code = MPI_Testall(static_cast<int>(found->second.size()), found->second.data(), &done,
                               statuses.data());
  if (code == MPI_ERR_IN_STATUS) {
    for (const MPI_Status& status : statuses) {
      if (status.MPI_ERROR == MPI_ERR_PENDING) continue;  // neither done nor failed: not the cause
      check_mpi(status.MPI_ERROR, "a transfer between ranks");
    }
  }
  check_mpi(code, "a transfer between ranks");
  if (done == 0) return false;
  requests_->active.erase(found);
  for (std::uint32_t peer = 0; peer < transfer->in_parts.size(); ++peer) {
    const std::uint64_t bytes = transfer->in_parts[peer].size();
    if (bytes == 0) continue;
    const Count in = requests_->large.count(bytes, bytes);
    int received = 0;
    MPI_Get_count(&statuses[peer], in.type, &received);
    if (received != in.count) {
      fail("rank {} sends less than the {} bytes that rank {} expects", peer, bytes, rank_);
    }
  }
  return true;
}

void MpiCommunicator::poll() {
  const Clock::time_point now = Clock::now();
  if (requests_->not_ready && now - requests_->not_ready_at > kFailureGrace) {
    record_failure({speaker_, *requests_->not_ready, 1});
  }
  if (rank_ == 0) {
    listen(now);
    end_for_first_failure(now);
    watch_deadline(now);
    return;
  }
  if (failed_.load(std::memory_order_acquire)) handle_own_failure(now);
  send_heartbeat(now);
}

void MpiCommunicator::send_heartbeat(Clock::time_point now) {
  Requests& r = *requests_;
  if (r.failure_sent || finishing_.load()) return;
  const BytesDone bytes = [this] {
    const std::lock_guard lock(heard_mutex_);
    return heard_[rank_];
  }();
  const bool news = bytes != r.bytes_sent;
  const bool urgent = news && bytes.all();
  if (!urgent && now - r.last_sent < 500ms) return;
  int done = 1;
  if (r.sending != MPI_REQUEST_NULL) MPI_Test(&r.sending, &done, MPI_STATUS_IGNORE);
  const std::uint64_t progress = progress_.load(std::memory_order_relaxed);
  if (done == 0 || (progress == r.progress_seen && !news)) return;
  r.outgoing.bytes = r.bytes_sent = bytes;
  r.progress_seen = progress;
  r.last_sent = now;
  r.outgoing.place = place_.load(std::memory_order_relaxed);
  MPI_Issend(&r.outgoing, offsetof(StatusMessage, text), MPI_BYTE, 0, kNewsTag, r.news, &r.sending);
}

void MpiCommunicator::listen(Clock::time_point now) {
  Requests& r = *requests_;
  while (true) {
    if (r.listening == MPI_REQUEST_NULL) {
      check_mpi(MPI_Irecv(&r.incoming, sizeof(StatusMessage), MPI_BYTE, MPI_ANY_SOURCE, kNewsTag,
                          r.news, &r.listening),
                "MPI_Irecv");
    }
    int done = 0;
    MPI_Status status;
    check_mpi(MPI_Test(&r.listening, &done, &status), "MPI_Test");
    if (done == 0) return;
    if (r.incoming.failed != 0) {
      if (!r.heard) {
        r.heard = {r.incoming.speaker.data(),
                   std::string(r.incoming.text.data(), r.incoming.text_bytes),
                   static_cast<int>(r.incoming.failed), r.incoming.level};
        r.heard_at = now;
      }
      continue;
    }
    r.places[static_cast<std::size_t>(status.MPI_SOURCE)] = r.incoming.place;
    r.last_progress = now;
    const std::lock_guard lock(heard_mutex_);
    heard_[static_cast<std::size_t>(status.MPI_SOURCE)] = r.incoming.bytes;
  }
}

void MpiCommunicator::watch_deadline(Clock::time_point now) {
  Requests& r = *requests_;
  const std::uint64_t progress = progress_.load(std::memory_order_relaxed);
  if (progress != r.progress_seen) {
    r.progress_seen = progress;
    r.last_progress = now;
  }
  const std::chrono::seconds timeout(timeout_seconds_.load(std::memory_order_relaxed));
  if (now - r.last_progress <= timeout) return;
  r.places[0] = place_.load(std::memory_order_relaxed);
  const std::vector<BytesDone> loaded = bytes_of_ranks();
  std::string where;
  for (std::uint32_t rank = 0; rank < size_; ++rank) {
    if (rank == 8 && size_ > 9) {
      where += fmt::format(", and {} more", size_ - rank);
      break;
    }
    where += fmt::format("{}rank {} was {}{}", rank == 0 ? "" : ", ", rank,
                         describe_place(r.places[rank]), loaded_text(loaded[rank]));
  }
  abort_job({"",
             fmt::format("no rank has made progress for {} s (key \"timeout\"): {}",
                         timeout.count(), where),
             1});
}

// For the first failure that rank 0 has heard of; where all ranks fail alike, its own.
void MpiCommunicator::end_for_first_failure(Clock::time_point now) {
  const std::optional<Failure>& other = requests_->heard;
  if (failed_.load(std::memory_order_acquire)) {
    abort_job(other && other->message != failure_.message ? *other : failure_);
  }
  if (other && now - requests_->heard_at > kSameFailure) abort_job(*other);
}

void MpiCommunicator::handle_own_failure(Clock::time_point now) {
  if (rank_ == 0) end_for_first_failure(now);
  Requests& r = *requests_;
  if (r.failed_at == Clock::time_point{}) r.failed_at = now;
  if (!r.failure_sent) {
    int done = 1;
    if (r.sending != MPI_REQUEST_NULL) MPI_Test(&r.sending, &done, MPI_STATUS_IGNORE);
    if (done != 0) {
      r.outgoing.failed = static_cast<std::uint32_t>(failure_.status);
      r.outgoing.text_bytes =
          static_cast<std::uint32_t>(std::min(failure_.message.size(), kMaxFailureBytes));
      std::memcpy(r.outgoing.text.data(), failure_.message.data(), r.outgoing.text_bytes);
      r.outgoing.level = failure_.level;
      r.outgoing.speaker = {};
      failure_.speaker.copy(r.outgoing.speaker.data(), r.outgoing.speaker.size() - 1);
      MPI_Isend(&r.outgoing, sizeof(StatusMessage), MPI_BYTE, 0, kNewsTag, r.news, &r.sending);
      r.failure_sent = true;
    }
  }
  if (r.failure_sent && r.sending != MPI_REQUEST_NULL) {
    int done = 0;
    MPI_Test(&r.sending, &done, MPI_STATUS_IGNORE);
  }
  if (now - r.failed_at > kGrace) abort_job(failure_);
}

void MpiCommunicator::write_last_line(const Failure& failure) {
  if (void (*const hook)() = before_last_line_.load(); hook != nullptr) hook();
  const std::string line = log_line(failure.level, failure.speaker, failure.message);
  // One write: lines of several processes do not mix.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

void MpiCommunicator::abort_job(const Failure& failure) {
  write_last_line(failure);
  MPI_Abort(MPI_COMM_WORLD, failure.status);
  std::_Exit(failure.status);
}

void MpiCommunicator::record_failure(const Failure& failure) {
  const std::lock_guard lock(failure_mutex_);
  if (failed_.load()) return;
  failure_ = failure;
  failed_.store(true, std::memory_order_release);
}

void MpiCommunicator::fail_world(const std::string& message) { end_job({speaker_, message, 1}); }

void MpiCommunicator::end_world(const std::string& message, int status) {
  end_job({"", message, status, LogLevel::Note});
}

void MpiCommunicator::on_failure(const std::string& message) {
  record_failure({speaker_, message, 1});
  while (true) {  // waiters stay blocked: MPI may still write their buffers
    handle_own_failure(Clock::now());
    std::this_thread::sleep_for(1ms);
  }
}

// The rank's own thread hears of it and may know the cause of this; but it may also wait for a
// begun transfer that other ranks are slow to join.
void MpiCommunicator::on_ready_failure(const std::string& message) {
  if (requests_->not_ready) return;
  requests_->not_ready = message;
  requests_->not_ready_at = Clock::now();
}

void MpiCommunicator::end_job(const Failure& failure) {
  record_failure(failure);
  // The communication thread ends the process; were it stuck, this does.
  std::this_thread::sleep_for(2 * kGrace);
  write_last_line(failure);
  std::_Exit(failure.status);
}

}  // namespace initrt
