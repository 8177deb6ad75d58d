variable "second_promoted" {
  type        = bool
  description = "Failed over: the second region's database stands by itself. See docs/failover.md."
  default     = false
}
