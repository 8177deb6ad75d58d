variable "by_hand" {
  type        = set(string)
  description = "Secrets whose values are given by an operator: keys of providers, authorities of databases."
  default     = ["genai-authorities"]
}

variable "generation" {
  type        = number
  description = "Raised to have new values made and written."
  default     = 1
}

variable "kms_key_arn" {
  type        = string
  description = "Key that they are encrypted with."
}

variable "replica_regions" {
  type        = map(string)
  description = "Regions that they are copied to, each with the ARN of its key."
  default     = {}
}
