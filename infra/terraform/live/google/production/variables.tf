variable "billing_account" {
  type        = string
  description = "The billing account that pays for the project."
}

variable "endpoint_zones" {
  type        = list(string)
  description = "Zones in which GKE keeps endpoints, once Argo CD has brought the platform."
  default     = []
}

variable "second_endpoint_zones" {
  type        = list(string)
  description = "The same in the second region."
  default     = []
}

variable "second_promoted" {
  type        = bool
  description = "Failed over: the second region's database stands by itself, and requests go there. See docs/failover.md."
  default     = false
}
