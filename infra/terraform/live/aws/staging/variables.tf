variable "ingress_stands" {
  type        = bool
  description = "Argo CD has brought the Ingress, and EKS its load balancer."
  default     = false
}
