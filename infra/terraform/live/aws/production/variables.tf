variable "ingress_stands" {
  type        = bool
  description = "Argo CD has brought the Ingress, and EKS its load balancer."
  default     = false
}

variable "second_ingress_stands" {
  type        = bool
  description = "The same in the second region."
  default     = false
}

variable "second_promoted" {
  type        = bool
  description = "Failed over: the second region's database stands by itself. See docs/failover.md."
  default     = false
}
