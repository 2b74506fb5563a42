#include "score/fit.h"

#include <Eigen/Dense>
#include <cmath>

namespace checkbit {
namespace {

constexpr int kMaxSteps = 500;
constexpr double kSmallestDirection = 1e-7;  ///< of singular values, relative to the largest
/// Share of a parameter in an undetermined direction that makes it undetermined.
constexpr double kShareOfDirection = 1e-3;

Eigen::VectorXd residuals_of(const FitProblem& problem, const Eigen::VectorXd& parameters) {
  const std::span<const double> values(parameters.data(),
                                       static_cast<std::size_t>(parameters.size()));
  Eigen::VectorXd residuals(static_cast<Eigen::Index>(problem.points));
  for (std::size_t i = 0; i < problem.points; ++i)
    residuals[static_cast<Eigen::Index>(i)] = problem.residual(values, i);
  return residuals;
}

/// Central differences.
Eigen::MatrixXd jacobian_of(const FitProblem& problem, const Eigen::VectorXd& parameters) {
  Eigen::MatrixXd jacobian(static_cast<Eigen::Index>(problem.points), parameters.size());
  for (Eigen::Index p = 0; p < parameters.size(); ++p) {
    const double step = 6e-6 * (std::abs(parameters[p]) + 1e-3);
    Eigen::VectorXd ahead = parameters;
    Eigen::VectorXd behind = parameters;
    ahead[p] += step;
    behind[p] -= step;
    jacobian.col(p) =
        (residuals_of(problem, ahead) - residuals_of(problem, behind)) / (ahead[p] - behind[p]);
  }
  return jacobian;
}

/// Columns of unit length; `lengths` takes what they were (1 for zeros).
Eigen::MatrixXd scaled(const Eigen::MatrixXd& jacobian, Eigen::VectorXd& lengths) {
  lengths = jacobian.colwise().norm();
  for (double& length : lengths)
    if (!(length > 0)) length = 1;
  return jacobian * lengths.cwiseInverse().asDiagonal();
}

struct Descent {
  Eigen::VectorXd parameters;
  double squares = 0;
  bool converged = false;
};

Descent descend(const FitProblem& problem, Eigen::VectorXd parameters) {
  double damping = 1e-3;
  double squares = residuals_of(problem, parameters).squaredNorm();
  for (int step = 0; step < kMaxSteps; ++step) {
    Eigen::VectorXd lengths;
    const Eigen::MatrixXd jacobian = scaled(jacobian_of(problem, parameters), lengths);
    const Eigen::VectorXd gradient = jacobian.transpose() * residuals_of(problem, parameters);
    Eigen::MatrixXd normal = jacobian.transpose() * jacobian;
    normal.diagonal().array() += damping;
    const Eigen::VectorXd change =
        (normal.ldlt().solve(-gradient).array() / lengths.array()).matrix();
    const double tried = residuals_of(problem, parameters + change).squaredNorm();
    if (!(tried < squares)) {  // also when it is not a number
      if (damping > 1e12) return {parameters, squares, true};
      damping *= 10;
      continue;
    }
    const bool still =
        squares - tried <= 1e-15 * squares && change.norm() <= 1e-9 * (1 + parameters.norm());
    parameters += change;
    squares = tried;
    damping = std::max(damping / 10, 1e-15);
    if (still || squares == 0) return {parameters, squares, true};
  }
  return {parameters, squares, false};
}

/// Variance of each parameter for a residual variance of 1; negative: not determined.
Eigen::VectorXd variances_of(const Eigen::MatrixXd& jacobian) {
  Eigen::VectorXd lengths;
  const Eigen::JacobiSVD<Eigen::MatrixXd> svd(scaled(jacobian, lengths), Eigen::ComputeFullV);
  const Eigen::VectorXd& singular = svd.singularValues();
  Eigen::VectorXd variances = Eigen::VectorXd::Zero(jacobian.cols());
  for (Eigen::Index d = 0; d < jacobian.cols(); ++d) {
    const bool determined = singular[d] > kSmallestDirection * singular[0];
    for (Eigen::Index p = 0; p < jacobian.cols(); ++p) {
      const double part = svd.matrixV()(p, d);
      if (determined && variances[p] >= 0) {
        variances[p] += part * part / (singular[d] * singular[d]) / (lengths[p] * lengths[p]);
      } else if (!determined && std::abs(part) > kShareOfDirection) {
        variances[p] = -1;
      }
    }
  }
  return variances;
}

}  // namespace

Result<Fit> fit_least_squares(const FitProblem& problem) {
  const std::size_t count = problem.start.size();
  CB_CHECK(count > 0);
  if (problem.points < count + 2) {
    return fail(ErrorKind::budget, "{} point{} too few to fit {} parameter{}: {} are needed",
                problem.points, problem.points == 1 ? " is" : "s are", count,
                count == 1 ? "" : "s", count + 2);
  }
  const Eigen::VectorXd start =
      Eigen::Map<const Eigen::VectorXd>(problem.start.data(), static_cast<Eigen::Index>(count));
  if (!residuals_of(problem, start).allFinite())
    return fail(ErrorKind::corrupt, "a residual is not finite at the start of the fit");
  const Descent descent = descend(problem, start);
  const auto freedom = static_cast<std::uint64_t>(problem.points - count);
  Fit fit;
  fit.converged = descent.converged;
  fit.residual_deviation = std::sqrt(descent.squares / static_cast<double>(freedom));
  const Eigen::VectorXd variances = variances_of(jacobian_of(problem, descent.parameters));
  const double width = student_quantile(0.975, freedom) * fit.residual_deviation;
  for (Eigen::Index p = 0; p < descent.parameters.size(); ++p) {
    Estimate parameter{descent.parameters[p], std::nullopt};
    if (variances[p] >= 0) {
      const double half = width * std::sqrt(variances[p]);
      parameter.interval = Interval{parameter.value - half, parameter.value + half};
    }
    fit.parameters.push_back(parameter);
  }
  return fit;
}

}  // namespace checkbit
