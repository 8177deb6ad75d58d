variable "name" {
  type        = string
  description = "Beginning of all names."
}

variable "vpc_id" {
  type        = string
  description = "The network."
}

variable "subnet_ids" {
  type        = list(string)
  description = "Subnets without a way out."
}

variable "client_security_groups" {
  type        = map(string)
  description = "Security groups that may connect, by what they are."
}

variable "node_type" {
  type        = string
  description = "Size of a node."
}

variable "nodes" {
  type        = number
  description = "Nodes: the first, and those that stand in for it."
}

variable "snapshot_days" {
  type        = number
  description = "Days that a snapshot is kept."
}

variable "generation" {
  type        = number
  description = "Raised to have a new token made and written."
  default     = 1
}

variable "kms_key_arn" {
  type        = string
  description = "Key of what is at rest, and of the secret."
}
