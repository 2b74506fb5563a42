#include "cli/load_verification.h"

#include <fmt/format.h>

#include "cli/seal_output.h"
#include "file/part_paths.h"
#include "report/number.h"

namespace checkbit {
namespace {

Status verify_part(const std::string& path, ThreadPool& pool, Console& console) {
  auto seal = Seal::open(path);
  if (!seal.ok() && seal.error().kind == ErrorKind::not_found) {
    console.note_once(fmt::format(
        "{}: has no seal, so nothing says whether the file is what it was; `{}` makes one", path,
        shell_quote({"checkbit", "guard", "seal", path})));
    return {};
  }
  if (!seal.ok()) return seal.error();
  CB_TRY(const SpanFile model, SpanFile::open(path, SpanFile::Mode::read));
  CB_TRY_STATUS(model.lock(SpanFile::Lock::shared));
  CB_TRY(const VerifyReport report, verify_seal(*seal, model, {}, pool));
  const std::string mend = shell_quote({"checkbit", "guard", "repair", path});
  if (report.looks_like_another_file()) {
    return fail(
        ErrorKind::corrupt,
        "{}: {} of {} blocks differ from its seal: another file's, or the model was changed; "
        "seal it again if it is right",
        path, report.damaged.size(), report.blocks);
  }
  if (!report.damaged.empty()) {
    CB_TRY(const DamageList list, list_damage(*seal, model, report, 1));
    return fail(ErrorKind::corrupt, "{}: {}; {} `{}`", path, damage_sentence(report, list),
                list.lost == 0 ? "mend it with" : "fetch it again, or mend the rest with", mend);
  }
  const double speed = static_cast<double>(report.bytes_read) / report.seconds;
  console.note(fmt::format("{}: every block is as it was sealed ({:.2f} s, {})", path,
                           report.seconds, print_quantity(speed, "bytes/s")));
  if (!report.seal_is_right())
    console.note(fmt::format("{}: the seal itself is damaged; mend it with `{}`", path, mend));
  return {};
}

}  // namespace

Status verify_before_load(const std::string& path, int threads, Console& console) {
  ThreadPool pool(threads);
  for (const std::string& part : part_paths(path)) CB_TRY_STATUS(verify_part(part, pool, console));
  return {};
}

}  // namespace checkbit
