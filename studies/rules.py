"""The rules that recommend a trial, by name; `studies.recommendation` is what they do."""

BEST, ONE_SE, KNEE = "best", "one-se", "knee"
RULES = {
    BEST: "the cheapest member of the Pareto front whose validation accuracy cannot be told apart from the best one's: "
    "the 95 % interval of their difference on the same pictures holds 0",
    ONE_SE: "the cheapest member of the Pareto front whose validation accuracy is at most one standard error below the "
    "best, the standard error being that of their difference on the same pictures (Breiman et al. 1984)",
    KNEE: "the knee of the front: the member nearest to the highest accuracy and the lowest latency, if one had both, "
    "where both are scaled from 0 (best on the front) to 1 (worst), latency as a logarithm, and equal latencies count "
    "as equal",
}
NEVER = "Never taken is a member that is less accurate than the baseline, a linear head on the frozen network."


def default_rule(max_latency_ms: float | None, max_gflops: float | None) -> str:
    """With a budget what lies within it costs little enough; without one costs count."""
    return ONE_SE if max_latency_ms is None and max_gflops is None else BEST
