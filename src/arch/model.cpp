#include "arch/model.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <unordered_map>

#include "base/float_environment.h"

namespace checkbit {
namespace {

struct Place {
  Role role;
  std::int64_t layer;
};

bool uses_role(const Architecture& architecture, Role role) {
  const auto in = [&](std::span<const Step> steps) {
    return std::ranges::any_of(steps,
                               [&](const Step& s) { return s.weight == role || s.bias == role; });
  };
  return in(architecture.prologue) || in(architecture.layer) || in(architecture.epilogue) ||
         std::ranges::find(architecture.optional, role) != architecture.optional.end();
}

bool is_optional(const Architecture& architecture, Role role) {
  return std::ranges::find(architecture.optional, role) != architecture.optional.end();
}

std::unordered_map<std::string, Place> expected_tensors(const ModelConfig& config) {
  std::unordered_map<std::string, Place> places;
  for (int r = 0; r < kRoleCount; ++r) {
    const Role role = static_cast<Role>(r);
    if (!uses_role(*config.architecture, role)) continue;
    const RoleInfo& info = role_info(role);
    const std::int64_t layers = info.per_layer() ? config.hyperparameters.layers : 1;
    for (std::int64_t layer = 0; layer < layers; ++layer) {
      places.emplace(info.tensor_name(static_cast<int>(layer)), Place{role, layer});
    }
  }
  return places;
}

Status check_shape(const ModelTensor& tensor, const RoleInfo& info, const Hyperparameters& h) {
  const auto rows = static_cast<std::uint64_t>(h.size_of(info.rows));
  const auto columns = static_cast<std::uint64_t>(h.size_of(info.columns));
  if (tensor.info.rows() == rows && tensor.info.columns() == columns) return {};
  return fail(ErrorKind::corrupt,
              "tensor {} has shape [{}, {}]; the model's metadata asks for [{}, {}]",
              tensor.info.name, tensor.info.rows(), tensor.info.columns(), rows, columns);
}

}  // namespace

std::size_t Model::index(Role role, std::int64_t layer) const {
  const std::int64_t row = role_info(role).per_layer() ? layer : config_.hyperparameters.layers;
  return static_cast<std::size_t>(row * kRoleCount + static_cast<int>(role));
}

Result<Model> Model::load(const ModelFile& file, const PackOptions& options, ThreadPool& pool,
                          const LoadProgress& progress) {
  const FloatEnvironment environment;
  const auto named = [&](Error error) {
    error.message = fmt::format("{}: {}", file.path(), error.message);
    return error;
  };
  auto config = read_config(file.metadata());
  if (!config) return named(config.error());
  Model model;
  model.config_ = *config;
  model.options_ = options;
  Hyperparameters& h = model.config_.hyperparameters;
  if (const ModelTensor* embedding = file.find(role_info(Role::token_embedding).pattern)) {
    h.vocabulary = static_cast<std::int64_t>(embedding->info.rows());
  }
  // More layers than tensors cannot be, and bounds the table's size.
  if (h.layers > static_cast<std::int64_t>(file.tensors().size())) {
    return named(fail(ErrorKind::corrupt,
                      "metadata key {}.block_count = {} is more than the file's {} tensors",
                      model.architecture().name, h.layers, file.tensors().size()));
  }
  const auto slots = static_cast<std::size_t>((h.layers + 1) * kRoleCount);
  model.matrices_.resize(slots);
  model.vectors_.resize(slots);
  auto placed = model.place_tensors(file);
  if (!placed) return named(placed.error());
  std::uint64_t total = 0;
  for (Placed& p : *placed) {
    if (!p.is_matrix()) continue;
    p.offset = total;
    total += p.packed_bytes;
  }
  if (auto allocated = model.allocate_vectors(*placed); !allocated) return named(allocated.error());
  // One stretch of memory in the order of use: large pages also for small matrices, and long
  // streams. Filled in the order of the file: a fault maps neighbours too, which go when their turn
  // comes.
  auto weights = AlignedBuffer::allocate(total, "weights");
  if (!weights) return named(weights.error());
  model.weights_ = std::move(*weights);
  for (const Placed& p : *placed) {
    if (!p.is_matrix()) continue;
    if (auto added = model.add_matrix(file, p); !added) return named(added.error());
  }
  if (options.checks) model.plan_checks();
  model.place_pages(pool);
  std::ranges::sort(*placed, {}, [](const Placed& p) { return p.tensor; });
  std::uint64_t done = 0;
  for (const Placed& p : *placed) {
    if (p.is_matrix()) {
      model.matrices_[model.index(p.role, p.layer)]->pack(pool);
    } else if (auto added = model.add_vector(p); !added) {
      return named(added.error());
    }
    done += p.tensor->info.size_bytes;
    if (progress) progress(done, file.size_bytes());
  }
  if (auto complete = model.check_complete(); !complete) return named(complete.error());
  // Vectors between matrices bring their neighbours' pages back (a fault maps whole folios).
  for (const ModelTensor& tensor : file.tensors()) file.drop_pages(tensor);
  return model;
}

/// Every tensor with its role, checked, in the order of use: what stands outside the layers comes
/// last.
Result<std::vector<Model::Placed>> Model::place_tensors(const ModelFile& file) const {
  const auto places = expected_tensors(config_);
  std::vector<Placed> placed;
  for (const ModelTensor& tensor : file.tensors()) {
    const auto place = places.find(tensor.info.name);
    if (place == places.end()) {
      return fail(ErrorKind::unsupported, "tensor {} is not understood for architecture {}",
                  tensor.info.name, architecture().name);
    }
    const auto [role, layer] = place->second;
    CB_TRY_STATUS(check_shape(tensor, role_info(role), config_.hyperparameters));
    placed.push_back({&tensor, role, layer, 0, 0});
    if (placed.back().is_matrix())
      placed.back().packed_bytes = PackedMatrix::packed_bytes_for(tensor, options_);
  }
  std::ranges::sort(placed, {}, [&](const Placed& p) { return index(p.role, p.layer); });
  return placed;
}

Status Model::add_matrix(const ModelFile& file, const Placed& placed) {
  const ModelTensor& tensor = *placed.tensor;
  const MappedFile* part = &file.parts()[tensor.part];
  const TensorSource source = {
      .drop = [part](std::span<const std::uint8_t> bytes) { part->drop_pages(bytes); },
      .copy = [part](std::span<const std::uint8_t> bytes,
                     std::uint8_t* out) { return part->copy(bytes, out); },
  };
  std::uint8_t* place = placed.packed_bytes > 0 ? weights_.data() + placed.offset : nullptr;
  CB_TRY(PackedMatrix matrix, PackedMatrix::prepare(tensor, options_, source, place));
  matrices_[index(placed.role, placed.layer)] = std::make_unique<PackedMatrix>(std::move(matrix));
  return {};
}

/// Where there are several nodes, each page is written first by a thread that will read it: the
/// system takes it from the memory next to that thread. On one node packing touches them first.
void Model::place_pages(ThreadPool& pool) {
  if (pool.placement().nodes < 2) return;
  constexpr std::size_t kPageBytes = 4096;
  const std::vector<ReadStretch> stretches = read_stretches(*this, pool.size());
  pool.run([&](int thread, int) {
    for (const ReadStretch& stretch : stretches) {
      if (stretch.thread != thread) continue;
      const auto begin = static_cast<std::size_t>(stretch.bytes.data() - weights_.data());
      volatile std::uint8_t* data = weights_.data() + begin;
      for (std::size_t at = 0; at < stretch.bytes.size(); at += kPageBytes) data[at] = 0;
    }
  });
}

/// Rows that are multiplied with one input have weights of their own each.
void Model::plan_checks() {
  const auto for_groups = [&](auto&& f) {
    for_linear_groups(architecture(), hyperparameters().layers,
                      [&](std::span<const Step> steps, std::int64_t layer) {
                        std::int64_t panels = 0;
                        for (const Step& step : steps) {
                          const PackedMatrix* matrix = this->matrix(step.weight, layer);
                          if (matrix == nullptr) continue;  // an incomplete model is refused later
                          f(step.weight, layer, panels);
                          panels += matrix->panels();
                        }
                      });
  };
  std::int64_t most_panels = 0, most_columns = 0;
  for_groups([&](Role role, std::int64_t layer, std::int64_t first) {
    most_panels = std::max(most_panels, first + matrix(role, layer)->panels());
    most_columns = std::max(most_columns, matrix(role, layer)->columns());
  });
  check_weights_ = std::make_unique<CheckWeights>(options_.check_seed, most_panels, most_columns);
  for_groups([&](Role role, std::int64_t layer, std::int64_t first) {
    auto& own = matrices_[index(role, layer)];
    PackedMatrix& found = own != nullptr ? *own : *matrices_[index(Role::token_embedding, 0)];
    if (found.quantizes()) found.enable_check(*check_weights_, first);
  });
}

/// All of them in one stretch, each from a whole cache line on.
Status Model::allocate_vectors(std::vector<Placed>& placed) {
  constexpr std::uint64_t kLineFloats = 16;
  std::uint64_t total = 0;
  for (Placed& p : placed) {
    if (p.is_matrix()) continue;
    p.offset = total;
    total +=
        (p.tensor->info.columns() + kLineFloats - 1) / kLineFloats * kLineFloats * sizeof(float);
  }
  CB_TRY(vector_values_, AlignedBuffer::allocate(total, "norms and biases"));
  return {};
}

Status Model::add_vector(const Placed& placed) {
  const ModelTensor& tensor = *placed.tensor;
  const Format& format = *tensor.info.format;
  if (format.decode == nullptr) {
    return fail(ErrorKind::unsupported, "tensor {}: type {} cannot be read as weights",
                tensor.info.name, format.name);
  }
  const std::span values(reinterpret_cast<float*>(vector_values_.data() + placed.offset),
                         tensor.info.columns());
  vectors_[index(placed.role, placed.layer)] = {&tensor, values};
  format.decode(tensor.bytes.data(),
                values.size() / static_cast<std::size_t>(format.block_elements), values.data());
  const auto bad = std::ranges::find_if(values, [](float v) { return !std::isfinite(v); });
  if (bad != values.end()) {
    return fail(ErrorKind::corrupt, "tensor {}: value {} is not finite", tensor.info.name,
                bad - values.begin());
  }
  return {};
}

Status Model::check_complete() const {
  for (const auto& [name, place] : expected_tensors(config_)) {
    if (is_optional(architecture(), place.role)) continue;
    const std::size_t at = index(place.role, place.layer);
    if (matrices_[at] == nullptr && vectors_[at].tensor == nullptr) {
      return fail(ErrorKind::corrupt, "tensor {} is missing", name);
    }
  }
  return {};
}

const PackedMatrix* Model::matrix(Role role, std::int64_t layer) const {
  const PackedMatrix* found = matrices_[index(role, layer)].get();
  if (found == nullptr && role == Role::output) return matrix(Role::token_embedding);
  return found;
}

Status Model::replace_matrix(Role role, std::int64_t layer, const ModelTensor& tensor) {
  CB_TRY_STATUS(check_shape(tensor, role_info(role), hyperparameters()));
  PackOptions options = options_;
  options.repack = false;
  CB_TRY(PackedMatrix matrix, PackedMatrix::prepare(tensor, options));
  matrices_[index(role, layer)] = std::make_unique<PackedMatrix>(std::move(matrix));
  return {};
}

void Model::set_vector(Role role, std::int64_t layer, std::span<const float> values) {
  const std::span<float> own = vectors_[index(role, layer)].values;
  CB_CHECK(own.size() == values.size());
  std::ranges::copy(values, own.begin());
}

const float* Model::vector(Role role, std::int64_t layer) const {
  const Vector& found = vectors_[index(role, layer)];
  return found.tensor == nullptr ? nullptr : found.values.data();
}

void Model::look_up_through(
    std::function<bool(std::span<const std::uint8_t>, std::uint8_t*)> copy) {
  matrices_[index(Role::token_embedding, 0)]->set_copy(std::move(copy));
}

namespace {

/// Copies what `source`, which stands at `at`, has of `part` to its place in `out`.
void copy_overlap(const std::uint8_t* at, std::span<const std::uint8_t> source,
                  std::span<const std::uint8_t> part, std::uint8_t* out) {
  const std::uint8_t* begin = std::max(at, part.data());
  const std::uint8_t* end = std::min(at + source.size(), part.data() + part.size());
  if (begin < end)
    std::memcpy(out + (begin - part.data()), source.data() + (begin - at),
                static_cast<std::size_t>(end - begin));
}

bool overlap(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) {
  return a.data() < b.data() + b.size() && b.data() < a.data() + a.size();
}

}  // namespace

void Model::read_again(std::span<const std::uint8_t> part, std::uint8_t* out) const {
  const FloatEnvironment environment;
  std::fill_n(out, part.size(), std::uint8_t{0});
  for (const auto& matrix : matrices_) {
    if (matrix == nullptr || !overlap(matrix->packed_from(0), part)) continue;
    std::vector<std::uint8_t> bytes(matrix->panel_bytes());
    for (std::int64_t panel = 0; panel < matrix->panels(); ++panel) {
      const auto packed = matrix->packed_from(panel).first(bytes.size());
      if (!overlap(packed, part)) continue;
      matrix->pack_again(panel, bytes.data());
      copy_overlap(packed.data(), bytes, part, out);
    }
  }
  for (const Vector& vector : vectors_) {
    if (vector.tensor == nullptr) continue;
    const auto* at = reinterpret_cast<const std::uint8_t*>(vector.values.data());
    if (!overlap({at, vector.values.size_bytes()}, part)) continue;
    std::vector<float> values(vector.values.size());
    const Format& format = *vector.tensor->info.format;
    format.decode(vector.tensor->bytes.data(),
                  values.size() / static_cast<std::size_t>(format.block_elements), values.data());
    copy_overlap(at, {reinterpret_cast<const std::uint8_t*>(values.data()), 4 * values.size()},
                 part, out);
  }
}

std::uint64_t Model::packed_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& m : matrices_) bytes += m ? m->packed_bytes() : 0;
  for (const auto& v : vectors_) bytes += v.values.size_bytes();
  return bytes;
}

std::vector<const PackedMatrix*> Model::matrices() const {
  std::vector<const PackedMatrix*> all;
  for (const auto& m : matrices_) {
    if (m != nullptr) all.push_back(m.get());
  }
  return all;
}

Status Model::lock_weights() const {
  if (mlock(weights_.data(), weights_.size()) == 0) return {};
  const int reason = errno;
  rlimit limit{};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  return fail(ErrorKind::memory,
              "{} bytes of weights could not be locked in memory, {} are allowed: {}",
              weights_.size(), limit.rlim_cur, std::strerror(reason));
}

std::vector<ReadStretch> read_stretches(const Model& model, int threads) {
  std::vector<ReadStretch> stretches;
  const auto add = [&](std::span<const Step> steps, std::int64_t layer) {
    std::vector<const PackedMatrix*> group;
    std::int64_t panels = 0;
    for (const Step& step : steps) {
      const PackedMatrix* matrix = model.matrix(step.weight, layer);
      if (matrix == nullptr) return;  // an incomplete model is refused later
      group.push_back(matrix);
      panels += matrix->panels();
    }
    std::int64_t first = 0;  // of the matrix, among the panels of the group
    for (const PackedMatrix* matrix : group) {
      const auto reader = [&](std::int64_t panel) {
        return ThreadPool::reader_of(first + panel, panels, threads);
      };
      for (std::int64_t begin = 0, end = 0; begin < matrix->panels(); begin = end) {
        while (end < matrix->panels() && reader(end) == reader(begin)) ++end;
        const auto from = matrix->packed_from(begin);
        const std::size_t after = matrix->packed_from(end).size();
        if (!from.empty()) stretches.push_back({from.first(from.size() - after), reader(begin)});
      }
      first += matrix->panels();
    }
  };
  for_linear_groups(model.architecture(), model.hyperparameters().layers, add);
  return stretches;
}

}  // namespace checkbit
