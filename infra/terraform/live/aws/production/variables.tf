variable "ingress_load_balancer" {
  type        = string
  description = "Name of the Ingress's load balancer, once Argo CD has brought it."
  default     = null
}

variable "second_ingress_load_balancer" {
  type        = string
  description = "The same in the second region."
  default     = null
}

variable "second_promoted" {
  type        = bool
  description = "Failed over: the second region's database stands by itself. See docs/failover.md."
  default     = false
}
