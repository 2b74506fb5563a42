#include "guard/seal_faults.h"

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>

#include "base/atomic_file.h"
#include "base/progress.h"
#include "guard/seal_repair.h"

namespace checkbit {
namespace {

/// Every repair flushes to the disk several times; memory has none to wait for.
Result<std::string> make_folder() {
  std::error_code none;
  const std::filesystem::path memory = "/dev/shm";
  const bool in_memory = ::access(memory.c_str(), W_OK) == 0;
  std::string folder =
      ((in_memory ? memory : std::filesystem::temp_directory_path(none)) / "checkbit-faults-XXXXXX")
          .string();
  if (::mkdtemp(folder.data()) == nullptr)
    return fail(ErrorKind::io, "{}: cannot make a folder for faults", folder);
  return folder;
}

}  // namespace

Status SealFaults::Side::read() {
  if (file->size_bytes() != right.size() || !file->read(0, now))
    return fail(ErrorKind::io, "{}: cannot be read", file->path());
  return {};
}

Status SealFaults::Side::put_back() {
  for (std::size_t at = 0; at < right.size(); at += kCodeBlockBytes) {
    const std::size_t bytes = std::min(kCodeBlockBytes, right.size() - at);
    const auto part = std::span(right).subspan(at, bytes);
    if (std::ranges::equal(part, std::span(now).subspan(at, bytes))) continue;
    CB_TRY_STATUS(file->write(at, part));
  }
  now = right;
  return {};
}

Status SealFaults::open(const std::string& path, Side& side) {
  CB_TRY(SpanFile file, SpanFile::open(path, SpanFile::Mode::write));
  side.right.resize(file.size_bytes());
  side.now.resize(side.right.size());
  side.file = std::move(file);
  if (!side.file->read(0, side.right)) return fail(ErrorKind::io, "{}: cannot be read", path);
  side.now = side.right;
  return {};
}

Result<std::unique_ptr<SealFaults>> SealFaults::create(std::span<const std::uint8_t> bytes,
                                                       CodeShape shape) {
  std::unique_ptr<SealFaults> made(new SealFaults);
  CB_TRY(made->folder_, make_folder());
  made->path_ = made->folder_ + "/model.gguf";
  CB_TRY_STATUS(write_file_atomically(made->path_,
                                      {reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
  SealOptions options;
  options.shape = shape;
  CB_TRY(const SealMade seal, make_seal(made->path_, options, made->pool_));
  CB_TRY_STATUS(made->open(made->path_, made->model_));
  CB_TRY_STATUS(made->open(seal.path, made->seal_));
  const FieldMap& map = field_map(*find_format("I8"));
  const std::vector<FaultRegion> regions = {{"model", -1, made->model_.now, &map},
                                            {"seal", -1, made->seal_.now, &map}};
  CB_TRY(made->space_, FaultSpace::select(regions, FaultSpec{}));
  return made;
}

SealFaults::~SealFaults() {
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

Status SealFaults::flip(const FaultSpec& spec, std::uint64_t number) {
  InjectedFaults faults;  // in the copies, which reading fills again
  const std::vector<BitPlace> places = space_->draw(spec, number);
  faults.add(places, spec);
  for (const BitPlace& place : places) {
    const std::size_t at = place.bit / 8;
    const SpanFile& file = place.region->name == "model" ? *model_.file : *seal_.file;
    CB_TRY_STATUS(file.write(at, place.region->bytes.subspan(at, 1)));
  }
  return {};
}

Result<Outcome> SealFaults::trial(const FaultSpec& spec, std::uint64_t number) {
  CB_CHECK(spec.page_bytes == 0 && spec.burst == 1);
  CB_TRY_STATUS(flip(spec, number));
  const Result<RepairReport> repair = repair_model(path_, pool_);
  if (!repair && cancel_requested()) return repair.error();
  CB_TRY_STATUS(model_.read());
  CB_TRY_STATUS(seal_.read());
  const bool right = model_.is_right() && seal_.is_right();
  CB_TRY_STATUS(model_.put_back());
  CB_TRY_STATUS(seal_.put_back());
  if (!repair) return Outcome::detected;
  const auto whole = [](const VerifyReport& report) {
    return report.model_is_right() && report.seal_is_right();
  };
  if (!right && whole(repair->after)) return Outcome::silent;
  return classify(!whole(repair->before), right);
}

}  // namespace checkbit
