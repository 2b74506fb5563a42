#include "quantize/plan.h"

#include <algorithm>
#include <array>
#include <map>

#include "weights/packed_matrix.h"

namespace checkbit {
namespace {

enum class Layers { all, first_2, first_4, first_16th, first_8th, middle, more, grouped };

struct Mix {
  std::string_view name;
  std::string_view base;
  std::string_view summary;
};

struct MixRule {
  std::string_view mix;
  Role role;
  Layers layers;
  std::string_view format;
};

constexpr std::array kMixes = {
#define CHECKBIT_MIX(name, base, summary) Mix{name, base, summary},
#include "quantize/mixes.def"
#undef CHECKBIT_MIX
};

constexpr std::array kMixRules = {
#define CHECKBIT_MIX_RULE(mix, role, layers, format) \
  MixRule{mix, Role::role, Layers::layers, format},
#include "quantize/mix_rules.def"
#undef CHECKBIT_MIX_RULE
};

/// What stands in for a format whose blocks do not divide a row.
struct StandIn {
  std::string_view format;
  std::string_view instead;
};
constexpr std::array kStandIns = {
    StandIn{"Q2_K", "IQ4_NL"},   StandIn{"Q3_K", "IQ4_NL"},    StandIn{"IQ1_S", "IQ4_NL"},
    StandIn{"IQ1_M", "IQ4_NL"},  StandIn{"IQ2_XXS", "IQ4_NL"}, StandIn{"IQ2_XS", "IQ4_NL"},
    StandIn{"IQ2_S", "IQ4_NL"},  StandIn{"IQ3_XXS", "IQ4_NL"}, StandIn{"IQ3_S", "IQ4_NL"},
    StandIn{"IQ4_XS", "IQ4_NL"}, StandIn{"Q4_K", "Q5_0"},      StandIn{"Q5_K", "Q5_1"},
    StandIn{"Q6_K", "Q8_0"},     StandIn{"TQ1_0", "Q4_0"},     StandIn{"TQ2_0", "Q4_0"}};

bool applies(Layers layers, std::int64_t layer, const Hyperparameters& h) {
  const std::int64_t n = h.layers;
  switch (layers) {
    case Layers::all:
      return true;
    case Layers::first_2:
      return layer < 2;
    case Layers::first_4:
      return layer < 4;
    case Layers::first_16th:
      return layer < n / 16;
    case Layers::first_8th:
      return layer < n / 8;
    case Layers::middle:
      return layer >= n / 8 && layer < 7 * n / 8;
    case Layers::more:
      return layer < n / 8 || layer >= 7 * n / 8 || (layer - n / 8) % 3 == 2;
    case Layers::grouped:
      return h.heads / h.key_value_heads >= 4;
  }
  return false;
}

/// The matrix that makes the logits: its own tensor, or the embedding when they are one.
bool makes_logits(const TensorPlan& tensor, bool tied) {
  return tensor.role == Role::output || (tied && tensor.role == Role::token_embedding);
}

const Format* wanted_format(const Mix& mix, const Format* base, const TensorPlan& tensor,
                            const Hyperparameters& h, bool tied) {
  const bool logits = makes_logits(tensor, tied);
  const Format* of_logits = find_format("Q6_K");
  const auto blocks = static_cast<std::uint64_t>(base->block_elements);
  if (logits && tensor.source->info.columns() % blocks != 0) return of_logits;
  const Role role = logits ? Role::output : tensor.role;
  for (const MixRule& rule : kMixRules) {
    if (rule.mix == mix.name && rule.role == role && applies(rule.layers, tensor.layer, h))
      return find_format(rule.format);
  }
  return logits ? of_logits : base;
}

/// Says where more bits are asked for than the source has.
void note_growth(Plan& plan) {
  std::map<std::string, int> grown;
  for (const TensorPlan& t : plan.tensors) {
    const Format& source = *t.source->info.format;
    if (t.format->bits_per_weight() > source.bits_per_weight())
      ++grown[fmt::format("{} from {}", t.format->name, source.name)];
  }
  for (const auto& [change, count] : grown) {
    plan.notes.push_back(fmt::format(
        "{} ({} tensors): larger than the source, and what its rounding lost does not come back",
        change, count));
  }
}

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  return out;
}

}  // namespace

std::uint64_t TensorPlan::file_bytes() const {
  const std::uint64_t columns = source->info.columns();
  return source->info.rows() * (columns / static_cast<std::uint64_t>(format->block_elements)) *
         static_cast<std::uint64_t>(format->block_bytes);
}

std::uint64_t TensorPlan::packed_bytes() const {
  if (!is_quantizable(*this)) return source->info.elements() * sizeof(float);
  return PackedMatrix::packed_bytes_for(*format, static_cast<std::int64_t>(source->info.rows()),
                                        static_cast<std::int64_t>(source->info.columns()));
}

std::uint64_t Plan::file_bytes() const {
  std::uint64_t bytes = 0;
  for (const TensorPlan& t : tensors) bytes += t.file_bytes();
  return bytes;
}

std::uint64_t TensorPlan::resident_bytes() const {
  constexpr std::uint64_t kPage = 4096;
  const std::uint64_t bytes = packed_bytes();
  return is_quantizable(*this) ? (bytes + kPage - 1) / kPage * kPage : bytes;
}

std::uint64_t Plan::resident_bytes() const {
  std::uint64_t bytes = 0;
  for (const TensorPlan& t : tensors) bytes += t.resident_bytes();
  return bytes;
}

std::uint64_t Plan::elements() const {
  std::uint64_t elements = 0;
  for (const TensorPlan& t : tensors) elements += t.source->info.elements();
  return elements;
}

double Plan::bits_per_weight() const {
  return elements() == 0
             ? 0
             : 8.0 * static_cast<double>(file_bytes()) / static_cast<double>(elements());
}

std::string Plan::summary() const {
  std::map<std::string_view, int> counts;
  for (const TensorPlan& t : tensors) ++counts[t.format->name];
  std::string text;
  for (const auto& [name, count] : counts)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, count);
  return text;
}

bool is_quantizable(const TensorPlan& tensor) {
  return tensor.role != Role::none && role_info(tensor.role).rows != Dimension::one;
}

Result<Plan> plan_copy(const ModelFile& file) {
  CB_TRY(const ModelConfig config, read_config(file.metadata()));
  std::map<std::string, std::pair<Role, std::int64_t>> places;
  for (int r = 0; r < kRoleCount; ++r) {
    const RoleInfo& info = role_info(static_cast<Role>(r));
    const std::int64_t layers =
        info.per_layer() ? std::min<std::int64_t>(config.hyperparameters.layers, 1 << 16) : 1;
    for (std::int64_t l = 0; l < layers; ++l)
      places[info.tensor_name(static_cast<int>(l))] = {static_cast<Role>(r), l};
  }
  Plan plan;
  plan.recipe = "copy";
  for (const ModelTensor& tensor : file.tensors()) {
    TensorPlan entry{.source = &tensor, .format = tensor.info.format};
    if (const auto place = places.find(tensor.info.name); place != places.end()) {
      entry.role = place->second.first;
      entry.layer = place->second.second;
    }
    plan.tensors.push_back(entry);
  }
  return plan;
}

std::vector<RecipeInfo> all_recipes() {
  std::vector<RecipeInfo> recipes;
  for (const Mix& mix : kMixes)
    recipes.push_back({std::string(mix.name), std::string(mix.summary), nullptr});
  for (const Format* format : all_formats()) {
    const bool named =
        std::ranges::any_of(recipes, [&](const RecipeInfo& r) { return r.name == format->name; });
    if (format->encode != nullptr && !named)
      recipes.push_back({std::string(format->name), std::string(format->summary), format});
  }
  return recipes;
}

Status check_encodable(const Format& format, bool force) {
  if (format.encode == nullptr) {
    return fail(ErrorKind::unsupported, "type {} cannot be written; see `checkbit quantize --list`",
                format.name);
  }
  if (format.ternary && !force) {
    return fail(ErrorKind::unsupported,
                "type {} has three values per weight: an ordinary model turns to noise, only "
                "models trained "
                "for it survive; use --force to do it all the same",
                format.name);
  }
  return {};
}

const Format* fitting_format(const Format& format, std::uint64_t columns) {
  const Format* candidate = &format;
  while (candidate != nullptr &&
         columns % static_cast<std::uint64_t>(candidate->block_elements) != 0) {
    const auto stand_in = std::ranges::find(kStandIns, candidate->name, &StandIn::format);
    candidate =
        find_format(stand_in != kStandIns.end() ? stand_in->instead : std::string_view("F16"));
  }
  return candidate;
}

Result<Plan> plan_recipe(const ModelFile& file, std::string_view recipe, bool pure, bool force) {
  const std::string name =
      upper(recipe) == "Q3_K" || upper(recipe) == "Q4_K" || upper(recipe) == "Q5_K"
          ? upper(recipe) + (pure ? "" : "_M")
          : upper(recipe);
  const auto mix = std::ranges::find(kMixes, std::string_view(name), &Mix::name);
  // IQ2_S names a mix whose base is another type than the one of that name.
  const Format* named = find_format(name);
  const Format* base =
      mix != kMixes.end() && !(pure && named != nullptr) ? find_format(mix->base) : named;
  if (base == nullptr) {
    std::string known;
    for (const RecipeInfo& r : all_recipes()) known += fmt::format(" {}", r.name);
    return fail(ErrorKind::not_found, "no type or mix is called {}; known:{}", recipe, known);
  }
  CB_TRY_STATUS(check_encodable(*base, force));
  CB_TRY(const ModelConfig config, read_config(file.metadata()));
  CB_TRY(Plan plan, plan_copy(file));
  plan.recipe = name;
  const bool tied = file.find(role_info(Role::output).pattern) == nullptr;
  std::map<std::string, int> replaced;
  for (TensorPlan& tensor : plan.tensors) {
    if (!is_quantizable(tensor)) continue;
    const Format* wanted = mix == kMixes.end() || pure
                               ? base
                               : wanted_format(*mix, base, tensor, config.hyperparameters, tied);
    const std::uint64_t columns = tensor.source->info.columns();
    tensor.format = fitting_format(*wanted, columns);
    if (tensor.format != wanted) {
      ++replaced[fmt::format("rows of {} values do not divide into blocks of {}: {} instead of {}",
                             columns, wanted->block_elements, tensor.format->name, wanted->name)];
    }
  }
  for (const auto& [note, count] : replaced)
    plan.notes.push_back(fmt::format("{} ({} tensors)", note, count));
  note_growth(plan);
  return plan;
}

}  // namespace checkbit
